"""The point of the comparison on images, at a size that takes seconds."""

import pytest

from splinelib.experiments import start_images, start_records, start_ways

TINY = {"dataset": "digits", "images": 64, "tested": 50, "epochs": 2, "seeds": 2, "progress": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return folder, start_images.confirm("digits", folder=folder, **TINY)


def test_every_way_is_recorded_at_its_cost(made):
    folder, record = made
    assert start_records.records(folder) == [record]
    found = {(entry["way"], entry["budget"], entry["factor"]): entry for entry in record["entries"]}
    assert set(found) == {
        ("random", "epochs", 1),
        ("random", "flops", 2),
        ("wide", "epochs", 2),
        *((way, "epochs", 2) for way in (*start_ways.CUTS, "lottery")),
    }
    small, paid = found["random", "epochs", 1], found["random", "flops", 2]
    per_epoch = small["flops"] / 2
    pruned = found["pruned: lsq", "epochs", 2]["flops"]
    assert pruned - per_epoch < paid["flops"] <= pruned
    assert paid["steps"] * small["flops"] == small["steps"] * paid["flops"]
    assert found["wide", "epochs", 2]["flops"] > 2.5 * per_epoch
    assert small["width"] == 4 and all(sum(entry["lines"]) for entry in found.values())


def test_what_is_recorded_or_trained_is_not_done_again(made, monkeypatch):
    folder, record = made
    monkeypatch.setattr(start_images, "_ways", lambda *_: pytest.fail("it is recorded"))
    assert start_images.confirm("digits", folder=folder, **TINY) == record
    monkeypatch.undo()
    start_records.path_of("digits", folder).unlink()
    monkeypatch.setattr("splinelib.training.loop._epoch", lambda *_: pytest.fail("it is trained"))
    with pytest.raises(ValueError, match="factor 2"):  # the checkpoints are of another comparison
        start_images.confirm("digits", folder=folder, **TINY, factor=3)
    again = start_images.confirm("digits", folder=folder, **TINY)
    assert again["entries"] == record["entries"]


@pytest.mark.parametrize("change", [{"epochs": 3}, {"factor": 1}, {"seeds": 1}])
def test_bad_requests_are_refused(tmp_path, change):
    with pytest.raises(ValueError, match="epochs is an even number, factor and seeds"):
        start_images.confirm("x", folder=tmp_path, **TINY | change)


def test_other_settings_are_refused(made):
    with pytest.raises(ValueError, match=r"images 64 \(now 128\)"):
        start_images.confirm("digits", folder=made[0], **TINY | {"images": 128})
