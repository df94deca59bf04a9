"""Counting regions over training, dense and pruned at the early bird."""

import pytest
import torch
from torch import nn

import splinelib as sl
from splinelib.__main__ import main
from splinelib.experiments import slice_records, slices


def test_points_of_each_kind_follow_from_the_seed():
    digits = sl.data.load("digits")
    one, two = (slices.surroundings(digits, 3, points=2) for _ in range(2))
    assert list(one) == list(slice_records.KINDS)
    for kind, inputs in one.items():
        assert inputs.shape == (6, 1, 8, 8) and torch.equal(inputs, two[kind])
    assert abs(one["noise"].std() - 1) < 0.15  # as images are normalised


def test_regions_are_counted_in_discs_of_input_space():
    """Units that each cut one coordinate at 1: a disc of radius r meets none or some of them."""
    layer = nn.Linear(3, 3)
    layer.weight.data[:], layer.bias.data[:] = torch.eye(3), -1.0
    net = nn.Sequential(layer, nn.ReLU())
    three = torch.tensor([[0.0, 0, 0], [5, 0, 0], [0, 7, 0]])
    assert slices.regions_around(net, three, [0.9, 1.1, 1.5]) == [[1], [3], [4]]


def test_a_course_prunes_at_the_early_bird_and_goes_on(monkeypatch):
    monkeypatch.setattr(slices, "PROBES", 5)
    monkeypatch.setattr(slices, "CALIBRATED", 64)
    monkeypatch.setattr(slices.Course, "look", looked)
    bird, entries = slices.course(0, epochs=2, milestones=(1, 2))
    assert bird == {"seed": 0, "epoch": 1, "settled": False}  # the rate falls before it settles
    seen = [(e["network"], e["epoch"]) for e in entries]
    assert seen == [("dense", e) for e in range(3)] + [("pruned", 1), ("pruned", 2)]
    assert entries[3]["units"] == entries[0]["units"] / 2


def looked(course, model, epoch):
    """In place of counting: how many channels there are."""
    units = sum(m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    course.entries.append(course.head | {"epoch": epoch, "units": units})


def test_a_look_counts_every_kind_at_every_radius():
    digits = sl.data.load("digits")
    course = slices.Course(digits, 0, "dense")
    course.points = {kind: x[:3] for kind, x in course.points.items()}
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))
    course.look(model, 4)
    assert len(course.entries) == 3 * len(slices.RADII)
    for entry in course.entries:
        assert entry["epoch"] == 4 and 0 <= entry["accuracy"] <= 1
        assert len(entry["regions"]) == len(entry["units"]) == 1 and entry["regions"][0] >= 1


def test_a_record_grows_by_seeds(tmp_path, monkeypatch, capsys):
    def course(seed):
        entry = {"seed": seed, "network": "dense", "epoch": 1, "kind": "test", "radius": 0.5}
        entry |= {"accuracy": 0.5, "regions": [7] * slices.POINTS, "units": [3] * slices.POINTS}
        return {"seed": seed, "epoch": 1, "settled": True}, [entry]

    monkeypatch.setattr(slices, "course", course)
    assert main(["slices", "--seeds", "2", "--folder", str(tmp_path)]) == 0
    record = slices.compare(seeds=3, folder=tmp_path, progress=False)
    assert [bird["seed"] for bird in record["birds"]] == [0, 1, 2]
    assert slice_records.read(slice_records.path_of("digits", tmp_path)) == record
    assert record["command"] == "python -m splinelib slices --seeds 3"
    assert "dense    test      7 regions" in capsys.readouterr().out
    with pytest.raises(ValueError, match="at least one seed"):
        slices.compare(seeds=0, folder=tmp_path)
