"""The comparison of ways to a small network: recorded, gone on with, added to, refused."""

import pytest

from splinelib.__main__ import main
from splinelib.experiments import start_records, starts

SMALL = {"depths": [1], "widths": [4], "seeds": 2, "steps": 16, "progress": False}


def told(record):
    """What a record says, but for time and place."""
    return {key: value for key, value in record.items() if key not in ("seconds", "provenance")}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return folder, starts.compare(["cross", "moons"], factors=[2, 4], folder=folder, **SMALL)


def test_a_record_has_every_way_at_both_costs(made):
    folder, record = made
    (path,) = start_records.record_files(folder)
    assert start_records.read(path) == record
    of_cross = [entry for entry in record["entries"] if entry["data"] == "cross"]
    at_two = {(e["way"], e["budget"]) for e in of_cross if e["factor"] == 2}
    assert at_two == {
        ("wide", "epochs"),
        *((way, "epochs") for way in (*starts.ways.CUTS, "lottery")),
        *((way, "flops") for way in (*starts.ways.STARTS, "restarts")),
    }
    assert {e["way"] for e in of_cross if e["factor"] == 1} == {*starts.ways.STARTS, "through"}
    assert all(len(entry["test"]) == 2 for entry in record["entries"])


def test_flops_at_a_cost_are_those_of_what_was_pruned(made):
    for entry in made[1]["entries"]:
        if entry["budget"] == "flops":
            (pruned,) = (
                other["flops"]
                for other in made[1]["entries"]
                if other["way"] == "pruned: lsq"
                and all(other[key] == entry[key] for key in ("data", "factor"))
            )
            one = 3 * 2 * (2 * 4 + 4 * 2) * 64 * (16 if entry["way"] == "restarts" else 1)
            assert pruned - one < entry["flops"] <= pruned


def test_an_interrupted_comparison_goes_on_to_the_same_record(made, tmp_path, monkeypatch):
    whole = starts.compare(["cross", "digits"], factors=[2], folder=tmp_path / "whole", **SMALL)
    fit, calls = starts.ways.fit, []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) > 14:
            raise KeyboardInterrupt
        return fit(*arguments)

    monkeypatch.setattr(starts.ways, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        starts.compare(["cross", "digits"], factors=[2], folder=tmp_path / "cut", **SMALL)
    monkeypatch.undo()
    (part,) = start_records.records(tmp_path / "cut")
    assert {entry["data"] for entry in part["entries"]} == {"cross"}
    resumed = starts.compare(["cross", "digits"], factors=[2], folder=tmp_path / "cut", **SMALL)
    assert told(resumed) == told(whole)


def test_what_is_recorded_is_not_done_again(made, monkeypatch):
    folder, record = made
    monkeypatch.setattr(starts, "entries", lambda *_: pytest.fail("it is recorded"))
    again = starts.compare(["cross", "moons"], factors=[2, 4], folder=folder, **SMALL)
    assert again == record


def test_factors_are_added(tmp_path):
    first = starts.compare(["cross"], factors=[2], folder=tmp_path, **SMALL)
    added = starts.compare(["cross"], factors=[2, 4], folder=tmp_path, **SMALL)
    assert added["entries"][: len(first["entries"])] == first["entries"]
    whole = starts.compare(["cross"], factors=[2, 4], folder=tmp_path / "whole", **SMALL)
    assert added["entries"] == whole["entries"]


def test_other_settings_are_refused(made):
    with pytest.raises(ValueError, match=r"made with seeds 2 \(now 3\)"):
        starts.compare(["cross"], factors=[2], folder=made[0], **SMALL | {"seeds": 3})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"data": ["cifar10"]}, "no data set of this study 'cifar10'"),
        ({"depths": [0]}, "depths are whole numbers of at least 1 and at most 10,000, not 0"),
        ({"factors": [1]}, "factors are whole numbers of at least 2"),
        ({"seeds": 1}, "seeds are whole numbers of at least 2"),
        ({"steps": 4}, "steps are whole numbers of at least 8"),
        ({"widths": []}, "each name at least one"),
        ({"name": "../x"}, "cannot be the name of a record"),
    ],
)
def test_bad_requests_are_refused(tmp_path, change, message):
    given = {"data": ["cross"], "factors": [2], "folder": tmp_path, **SMALL} | change
    with pytest.raises(ValueError, match=message):
        starts.compare(given.pop("data"), **given)
    assert not list(tmp_path.rglob("*.json"))


def test_command_and_listing(made, tmp_path, capsys):
    words = made[1]["command"].split()[3:]
    assert words[-2:] == ["--steps", "16"]
    assert main([*words, "--folder", f"{tmp_path}"]) == 0
    assert "best in" in capsys.readouterr().out
    (again,) = start_records.records(tmp_path)
    assert told(again) == told(made[1])
    assert main(["runs", "--folder", f"{tmp_path}"]) == 0
    assert "1 records, 0 damaged" in capsys.readouterr().out
    assert main([*words, "--folder", f"{tmp_path}", "--seeds", "1"]) == 2
