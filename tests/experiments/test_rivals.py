"""Rivals without training and our ways, on the same dense networks."""

import warnings

import pytest
import torch
from networks import alive, convnet, images
from runs import CURVES

import splinelib as sl
from splinelib.__main__ import main
from splinelib.experiments import rival_records, rivals, subjects
from splinelib.rivals import folding, gram, intra_fusion, neuron_merging, renewed_statistics


@pytest.fixture(scope="module")
def subject():
    return subjects.Subject(convnet(), images(64), lambda small: small[3].out_channels / 8, 0)


@pytest.fixture(scope="module")
def made(subject):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {tuple(key): network for *key, network in rivals.networks(subject)}


def test_every_way_takes_the_same_share_of_each_layer(made):
    for (way, _, ratio), network in made.items():
        if not way.startswith("default"):
            assert network[3].out_channels == 8 - round(8 * ratio)
    ways = {(way, renewed) for way, renewed, ratio in made if ratio == 0.7}
    assert len(made) == 1 + 3 * len(ways)
    assert ways == {(way, False) for way in (*rival_records.THEIRS, *rival_records.OURS)} | {
        (way, True) for way in rival_records.RENEWED
    }


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_each_network_is_what_its_way_gives(made, subject):
    model, data = subject.model, subject.data
    masks = sl.select(sl.score(model, "magnitude", example=data[:1]), 0.5, "layerwise")
    assert same(made["magnitude", False, 0.5], sl.shrink(model, masks))
    assert same(made["folding", False, 0.5], folding(model, 0.5, data[:1]))
    assert same(made["neuron merging", False, 0.5], neuron_merging(model, masks))
    coded = neuron_merging(model, masks, formula="code")
    assert same(made["neuron merging as coded", False, 0.5], coded)
    assert same(made["Intra-Fusion", False, 0.5], intra_fusion(model, masks))
    coded = intra_fusion(model, masks, formula="code")
    assert same(made["Intra-Fusion as coded", True, 0.5], renewed_statistics(coded, data))
    compensated = gram(model, masks, data)
    assert same(made["GRAIL", False, 0.5], compensated)
    assert same(made["GRAIL", True, 0.5], renewed_statistics(compensated, data))
    bend = sl.prune(model, 0.5, "bend", "layerwise", example=data[:1], compensate="merge")
    assert same(made["bend merged", False, 0.5], bend)
    refitted = sl.shrink(model, masks, data=data, compensate="refit")
    assert same(made["magnitude refitted", False, 0.5], refitted)
    assert same(made["default with data", False, 0.5], sl.prune(model, 0.5, data=data))
    assert same(made["default without data", False, 0.5], sl.prune(model, 0.5, example=data[:1]))


def test_every_way_cuts_the_streams_of_a_residual_network(monkeypatch):
    """By the ratio, and all layers of a stream alike; neuron merging says that it only drops."""
    monkeypatch.setattr(rivals, "RATIOS", (0.5,))
    digits = sl.data.load("digits")
    model = alive(sl.models.build("resnet18", digits, width=0.0625))
    data = digits.to_float(digits.train_images[:64])
    residual = subjects.Subject(model, data, lambda _: 0.5, 0)
    with pytest.warns(UserWarning, match=r"\['conv', .*dropped, not merged"):
        made = {tuple(key): network for *key, network in rivals.networks(residual)}
    even = sl.prune(model, 0.5, "random", "layerwise", example=data[:1])
    assert even.conv.out_channels == even.stages[0][1].conv2.out_channels == 2
    sizes = [p.shape for p in even.parameters()]
    for (way, _, ratio), network in made.items():
        assert network(data).isfinite().all()
        if ratio and not way.startswith("default"):
            assert [p.shape for p in network.parameters()] == sizes


def test_without_batch_norms_nothing_is_renewed():
    plain = subjects.Subject(convnet(norm=False), images(64), lambda _: 0.5, 3)
    found = rivals.entries(plain)
    assert not any(entry["renewed"] for entry in found)
    lost = {"neuron merging as coded"}  # whose formula is of batch norms
    ways = {*rival_records.THEIRS, *rival_records.OURS} - lost
    assert {entry["way"] for entry in found} == {"dense", *ways}
    first = found[0]
    assert first["way"] == "dense" and first["seed"] == 3 and first["channels"] == 6 + 8 + 10
    assert first["parameters"] == sum(p.numel() for p in plain.model.parameters())


def test_a_record_grows_by_seeds(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rivals, "RATIOS", (0.5,))
    monkeypatch.setitem(subjects.SETTINGS["mlp"], "epochs", 1)
    assert main(["rivals", "--seeds", "1", "--folder", f"{tmp_path}"]) == 0
    assert "GRAIL" in capsys.readouterr().out
    record = rivals.compare(seeds=2, folder=tmp_path, progress=False)
    assert sorted({entry["seed"] for entry in record["entries"]}) == [0, 1]
    assert rival_records.read(rival_records.path_of("digits-mlp", tmp_path)) == record
    told = "python -m splinelib rivals --network mlp --seeds 2 --name digits-mlp"
    assert record["command"] == told
    digits = sl.data.load("digits")
    chosen, held_out = digits.split(subjects.HELD_OUT, seed=0)
    assert record["settings"]["calibration"] == len(chosen)
    inputs, labels = digits.to_float(digits.train_images), digits.train_labels
    dense = subjects.trained("mlp", 1, 1.0, 1)
    right = sl.training.evaluate(dense.model, inputs[held_out], labels[held_out])
    assert [e["accuracy"] for e in record["entries"] if e["way"] == "dense"][1] == right
    assert torch.equal(dense.data, inputs[chosen])


def test_the_dense_network_of_a_recorded_run_is_read(folder, monkeypatch):
    monkeypatch.setattr(rivals, "RATIOS", (0.5,))
    record = rivals.compare(run=CURVES.name, folder=folder, progress=False)
    dense = record["entries"][0]
    recorded = subjects.recorded_run(CURVES.name, folder)
    assert dense["accuracy"] == recorded["dense"]["test_accuracy"]
    assert dense["seed"] == CURVES.seed and record["settings"]["judged_on"] == "test images"
    assert record["name"] == CURVES.name
    assert record["command"].endswith(f"rivals --run {CURVES.name} --name {CURVES.name}")
    assert rivals.compare(run=CURVES.name, folder=folder, progress=False) == record


def test_wrong_requests_are_refused(tmp_path):
    with pytest.raises(ValueError, match="network"):
        rivals.compare("lenet", folder=tmp_path)
    with pytest.raises(ValueError, match="at least one seed"):
        rivals.compare(seeds=0, folder=tmp_path)
    with pytest.raises(ValueError, match="no recorded run 'none'"):
        rivals.compare(run="none", folder=tmp_path)
