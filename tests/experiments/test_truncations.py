"""The study of PCA: recorded, not made again, refused."""

import pytest
import torch
from runs import check_going_on

from splinelib.__main__ import main
from splinelib.experiments import truncation_records, truncations
from splinelib.experiments.truncated_orders import DIRECTIONS, LOT


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder, patch = tmp_path_factory.mktemp("runs"), pytest.MonkeyPatch()
    few = truncations.SETTINGS["mlp"] | {"components": (2, truncations.ALL)}
    patch.setitem(truncations.SETTINGS, "mlp", few)
    told = {"seeds": 2, "epochs": 2, "width": 0.1, "folder": folder, "progress": False}
    yield folder, told, truncations.compare(**told)
    patch.undo()


def test_a_record_has_every_order(made):
    folder, _, record = made
    (path,) = truncation_records.record_files(folder)
    assert truncation_records.read(path) == record
    ends = truncations.SETTINGS["mlp"]["ends"]
    # 2 by lot; for each metric and unit of a pair 3 directions, and all of them once
    assert len(record["orders"]) == len(ends) * (2 + 3 * 2 * (3 + 1))
    assert {e["directions"] for e in record["orders"]} == {*DIRECTIONS, LOT}
    assert len(record["rivals"]) == len(ends) * 2
    assert len(record["views"]) == 3 * 2 * 2 and len(record["needs"]) == 3 * 2 * 4 * 4
    assert all(len(entry["test"]) == 2 for entry in record["orders"])


def test_bounds_of_the_record_hold(made):
    for view in made[2]["views"]:
        for error, bound in zip(view["error"], view["bound"], strict=True):
            assert error <= bound + 1e-6
        if view["components"] == truncations.ALL:
            assert max(view["left_out"]) < 1e-9


def test_what_is_recorded_is_not_made_again(made, monkeypatch):
    _, told, record = made
    monkeypatch.setattr(truncations, "Trained", None)
    assert truncations.compare(**told) == record
    with pytest.raises(ValueError, match=r"made with epochs 2 \(now 3\)"):
        truncations.compare(**told | {"epochs": 3})


def test_an_interrupted_record_goes_on(made, monkeypatch, tmp_path):
    _, told, record = made
    check_going_on(
        truncations, truncation_records, told | {"folder": tmp_path}, record, monkeypatch
    )


def test_the_command_records_and_says_what_came_out(made, capsys):
    folder, told, record = made
    words = [f"--{part}={told[part]}" for part in ("seeds", "epochs", "width", "folder")]
    assert main(["pca", *words]) == 0
    assert capsys.readouterr().out.startswith("mlp  pruned after PCA, 2 networks")
    assert record["command"] == (
        "python -m splinelib pca --network mlp --seeds 2 --epochs 2 --width 0.1 --name mlp"
    )
    assert main(["runs", "--folder", f"{folder}"]) == 0
    assert "1 records, 0 damaged" in capsys.readouterr().out


def test_bad_requests_are_refused(tmp_path):
    with pytest.raises(ValueError, match="network"):
        truncations.compare("lenet", folder=tmp_path)
    with pytest.raises(ValueError, match="two networks or more, not 1"):
        truncations.compare(seeds=1, folder=tmp_path)


def test_a_correlation_of_what_never_changes_is_none():
    rising = torch.tensor([1.0, 2.0, 3.0])
    assert truncations.correlation(rising, -rising) == pytest.approx(-1)
    assert truncations.correlation(rising, torch.ones(3)) == 0
