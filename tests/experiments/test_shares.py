"""Groups of units that are cut alone, and what criteria leave them, on small networks."""

import torch
from networks import convnet, images
from runs import CURVES
from torch import nn
from torch.nn.utils import parameters_to_vector

import splinelib as sl
from splinelib.__main__ import main
from splinelib.experiments import share_records, shares, subjects
from splinelib.models.preact_resnet import preresnet
from splinelib.rivals import renewed_statistics


def channels(model):
    """Output channels of each convolution."""
    return [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]


def test_one_group_is_halved_and_the_others_stay():
    model, data = convnet(), images(64)
    subject, pruner = subjects.Subject(model, data, lambda _: 0.5, 0), sl.Pruner(model, data)
    first = next(iter(pruner.layout.groups))
    small = shares.without(subject, pruner, first, pruner.scores("bend")[first])
    whole, left = channels(model), channels(small)
    assert left == [whole[0] // 2, *whole[1:]]
    # the units of the least scores are gone, and the statistics are those of what is left
    scores = pruner.scores("bend")[first]
    keeps = scores.argsort()[len(scores) // 2 :].sort().values
    assert torch.equal(small[0].weight, model[0].weight[keeps])
    again = renewed_statistics(small, data)
    assert torch.equal(small[1].running_mean, again[1].running_mean)
    assert not torch.equal(small[1].running_mean, model[1].running_mean[keeps])


def test_the_kept_units_are_those_of_a_cut_at_one_threshold():
    model, data = convnet(), images(64)
    pruner = sl.Pruner(model, data)
    for criterion in share_records.CRITERIA:
        small = pruner.prune(0.5, criterion, "global", False)
        assert list(shares.kept(pruner, criterion).values()) == channels(small)


def test_a_group_that_is_not_judged_keeps_all(monkeypatch):
    pruner = sl.Pruner(convnet(), images(64))
    first = next(iter(pruner.layout.groups))
    shy = lambda _, group: None if group.name == first else torch.rand(group.units)  # noqa: E731
    monkeypatch.setitem(sl.CRITERIA, "shy", shy)
    left = shares.kept(pruner, "shy")
    assert left[first] == pruner.layout.groups[first].units
    assert sum(left.values()) < pruner.layout.units


def test_streams_are_told_apart_and_draws_differ():
    model = preresnet(11, classes=3, channels=3, width=0.25).eval()
    judge = lambda network: parameters_to_vector(network.parameters()).std().item()  # noqa: E731
    subject = subjects.Subject(model, images(32), judge, 3)
    found = shares.entries(subject)
    groups = sl.find_groups(model, images(1)).groups
    assert [e["group"] for e in found] == list(groups)
    assert [e["stream"] for e in found] == [g.is_stream for g in groups.values()]
    assert {e["stream"] for e in found} == {False, True}
    assert {e["dense"] for e in found} == {subject.judge(model)}
    assert all(len(set(e["by_lot"])) == shares.DRAWS for e in found if e["units"] > 8)
    assert found == shares.entries(subject)  # the draws are those of the seed


def test_a_record_of_digits_and_one_of_a_run(tmp_path, folder, monkeypatch, capsys):
    monkeypatch.setitem(subjects.SETTINGS["mlp"], "epochs", 1)
    assert main(["shares", "--seeds", "1", "--folder", f"{tmp_path}"]) == 0
    assert "linear2" in capsys.readouterr().out
    record = share_records.read(share_records.path_of("digits-mlp", tmp_path))
    assert record["command"].endswith("shares --network mlp --seeds 1 --name digits-mlp")
    assert sum(e["kept"]["bend"] for e in record["entries"]) == 128  # of two layers of 128
    monkeypatch.setattr(shares, "JUDGED", 40)
    of_run = shares.compare(run=CURVES.name, folder=folder, progress=False)
    one = subjects.recorded(CURVES.name, folder, None, 40)
    assert of_run["entries"][0]["dense"] == one.judge(one.model)
    assert of_run["settings"]["judged_on"] == "40 test images"
