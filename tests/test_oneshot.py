"""One-shot curves: pruned without retraining, recorded, added to, refused."""

import itertools
import json

import numpy as np
import pytest
import torch

import splinelib as sl
from splinelib import experiments, oneshot
from splinelib.__main__ import main
from splinelib.errors import DamagedFile
from splinelib.experiments import Protocol
from splinelib.training import evaluate, read_checkpoint

TINY = Protocol(network="mlp", epochs=4, calibration=256, probe=32)
METHODS = ("magnitude@layerwise", "magnitude@layerwise+refit", "lsq@residual+refit", "snip")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recorded run without tickets, and its curves."""
    path = tmp_path_factory.mktemp("runs")
    experiments.run(TINY, (), folder=path, progress=False)
    oneshot.curves(TINY.name, METHODS, (0.5, 0.8), folder=path, progress=False)
    return path


def test_an_entry_is_what_prune_gives(folder):
    record = oneshot.records(folder)[0]
    dataset, _ = experiments.prepare(TINY)
    dense = experiments.build(TINY, dataset)
    dense.load_state_dict(read_checkpoint(folder / "checkpoints" / TINY.name / "dense.pt")["model"])
    data, labels = experiments.sample(dataset, TINY.calibration, TINY.seed)
    test = dataset.test_images, dataset.test_labels
    assert record["dense_accuracy"] == evaluate(dense, *test, transform=dataset.to_float)
    assert len(record["entries"]) == len(METHODS) * 2
    for entry in record["entries"]:
        options = {key: entry[key] for key in ("criterion", "scope", "compensate")}
        small = sl.prune(dense, entry["ratio"], data=data, labels=labels, **options)
        assert entry["test_accuracy"] == evaluate(small, *test, transform=dataset.to_float)
        assert entry["parameters"] == sum(p.numel() for p in small.parameters())


def test_series_and_summary_show_every_entry(folder):
    record = oneshot.records(folder)[0]
    plain = oneshot.series([record["entries"]], "layerwise")
    refitted = oneshot.series([record["entries"]], "layerwise", "refit")
    assert list(plain) == list(refitted) == ["magnitude"]
    assert plain["magnitude"][0] == [0.5, 0.8] and plain["magnitude"][1].shape == (1, 2)
    assert refitted["magnitude"][1].max() > plain["magnitude"][1].max()
    assert not oneshot.series([record["entries"]], "residual", "fold")
    text = oneshot.summary(record)
    for entry in record["entries"]:
        assert f"{100 * entry['test_accuracy']:.2f}" in text


def test_series_over_networks_has_what_all_of_them_have(folder):
    entries = oneshot.records(folder)[0]["entries"]
    fewer = [e for e in entries if e["ratio"] == 0.8 or e["criterion"] == "snip"]
    ratios, accuracy = oneshot.series([entries, fewer], "layerwise")["magnitude"]
    assert ratios == [0.8] and accuracy.shape == (2, 1) and accuracy[0] == accuracy[1]
    without = [e for e in entries if e["criterion"] != "magnitude"]
    assert not oneshot.series([entries, without], "layerwise")


def test_compare_gives_what_prune_gives_and_scores_once(monkeypatch):
    dataset = sl.data.load("digits").subset(train=256, test=128)
    data, labels = dataset.to_float(dataset.train_images), dataset.train_labels
    model = sl.models.build("mlp", dataset, seed=0)
    test = dataset.to_float(dataset.test_images), dataset.test_labels
    calls = []
    score = oneshot.pruning._score
    monkeypatch.setattr(
        oneshot.pruning, "_score", lambda *args: calls.append(args[1]) or score(*args)
    )
    methods = ["snip", "random@layerwise", "snip@residual+refit"]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = oneshot.compare(
        model, methods, [0.3, 0.6], data=data, labels=labels, judge=lambda m: evaluate(m, *test)
    )
    assert calls == ["snip", "random"]
    wanted = ["snip", "snip", "random", "random", "snip", "snip"]
    assert [entry["criterion"] for entry in made] == wanted
    monkeypatch.undo()
    for entry in made:
        options = {key: entry[key] for key in ("criterion", "scope", "compensate")}
        small = sl.prune(model, entry["ratio"], data=data, labels=labels, **options)
        assert entry["accuracy"] == evaluate(small, *test)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("steps", ["ab", "abc", "abcd"])
def test_a_split_adds_up_and_gives_nothing_for_nothing(steps):
    generator = torch.Generator().manual_seed(0)
    others = steps[:-1]  # the last step never changes anything
    worth = {
        frozenset(some): torch.rand(3, generator=generator).numpy()
        for size in range(len(others) + 1)
        for some in itertools.combinations(others, size)
    }
    accuracy = worth | {some | {steps[-1]}: value for some, value in worth.items()}
    parts = oneshot.split(accuracy)
    whole = accuracy[frozenset(steps)] - accuracy[frozenset()]
    assert sum(parts.values()) == pytest.approx(whole)
    assert parts[steps[-1]] == pytest.approx(0)
    # Steps that are worth the same get the same.
    same = {frozenset(some): len(some) / 10 for some in accuracy}
    assert list(oneshot.split(same).values()) == pytest.approx([0.1] * len(steps))


def test_a_split_goes_by_the_sequences_that_are_known():
    nothing, a, b, both = map(frozenset, ["", "a", "b", "ab"])
    assert oneshot.split({nothing: 0.1, a: 0.3, both: 0.4}) == pytest.approx({"a": 0.2, "b": 0.1})
    for unknown in ({}, {nothing: 0.1}, {nothing: 0.1, both: 0.4}, {a: 0.1, b: 0.2, both: 0.3}):
        with pytest.raises(ValueError, match="no sequence leads"):
            oneshot.split(unknown)


def test_contributions_lead_from_random_to_everything():
    def entry(name, variant, ratio, accuracy):
        ticket = experiments.Ticket.parse(name + variant, ratio)
        shown = {key: getattr(ticket, key) for key in ("criterion", "scope", "compensate", "ratio")}
        return shown | {"accuracy": accuracy}

    worth = {  # worked by hand: the order earns 0.1 first, 0.02 and 0.06 later
        "random": (0.2, 0.6, 0.7),
        "bn": (0.3, 0.62, 0.76),
        "l2": (0.1,),
    }
    run = [
        entry(name, variant, ratio, value)
        for name, values in worth.items()
        for variant, value in zip(oneshot.VARIANTS, values, strict=False)
        for ratio in (0.5, 0.7)
    ]
    ratios, earned = oneshot.contributions([run, run])
    assert ratios == [0.5, 0.7] and list(earned) == ["random", "bn"]
    assert list(earned["bn"]) == sorted(oneshot.STEPS)
    by_hand = {"order": 0.06, "refit": (0.32 + 0.4 + 0.4) / 3, "share": (0.14 + 0.14 + 0.1) / 3}
    for step, value in by_hand.items():
        assert earned["bn"][step] == pytest.approx(np.full((2, 2), value))
    assert earned["random"]["order"] == pytest.approx(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="start from a random order"):
        oneshot.contributions([[e for e in run if e["criterion"] != "random"]])


def test_records_of_several_seeds_stand_together():
    names = ["digits-mlp-w1-e4-s0", "digits-mlp-w1-e8-s0", "digits-mlp-w1-e4-s1"]
    groups = oneshot.across_seeds([{"name": name} for name in names])
    assert [[record["name"] for record in group] for group in groups] == [
        ["digits-mlp-w1-e4-s0", "digits-mlp-w1-e4-s1"],
        ["digits-mlp-w1-e8-s0"],
    ]


def test_what_is_recorded_is_not_done_again(folder, monkeypatch):
    before = oneshot.records(folder)[0]
    added = oneshot.curves(TINY.name, ["bn", *METHODS[:1]], (), folder=folder, progress=False)
    assert added == before
    added = oneshot.curves(TINY.name, ["random"], (0.5,), folder=folder, progress=False)
    assert added["entries"][:-1] == before["entries"]
    assert added["entries"][-1]["criterion"] == "random"
    assert "--methods" in added["command"] and "random" in added["command"]

    def never(*_):
        raise AssertionError("pruned again")

    monkeypatch.setattr(oneshot, "_entry", never)
    assert oneshot.curves(TINY.name, ["random"], (0.5,), folder=folder, progress=False) == added


def test_an_interruption_loses_nothing(folder, tmp_path, monkeypatch):
    shared = {"folder": folder, "progress": False}
    before = len(oneshot.records(folder)[0]["entries"])
    whole = oneshot._entry

    def deadly(pruner, ticket, *rest):
        if ticket.ratio == 0.7:
            raise KeyboardInterrupt
        return whole(pruner, ticket, *rest)

    monkeypatch.setattr(oneshot, "_entry", deadly)
    with pytest.raises(KeyboardInterrupt):
        oneshot.curves(TINY.name, ["l2"], (0.6, 0.7), **shared)
    assert len(oneshot.records(folder)[0]["entries"]) == before + 1
    monkeypatch.setattr(oneshot, "_entry", whole)
    assert len(oneshot.curves(TINY.name, ["l2"], (0.6, 0.7), **shared)["entries"]) == before + 2


def test_the_command_line_records_and_lists(folder, capsys):
    name = TINY.name
    assert (
        main(["oneshot", name, "--methods", "l2", "--ratios", "0.2", "--folder", str(folder)]) == 0
    )
    assert "one shot" in capsys.readouterr().out
    assert main(["runs", "--folder", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "one shot" in shown and "2 records, 0 damaged" in shown


def test_what_is_missing_or_damaged_is_said(folder, tmp_path):
    with pytest.raises(ValueError, match=rf"no recorded run 'other'.*{TINY.name}"):
        oneshot.curves("other", folder=folder, progress=False)
    source = folder / f"{TINY.name}.json"
    (tmp_path / source.name).write_bytes(source.read_bytes())
    with pytest.raises(ValueError, match=r"not on this machine.*splinelib run"):
        oneshot.curves(TINY.name, ["l2"], folder=tmp_path, progress=False)
    record = json.loads((folder / "oneshot" / source.name).read_text())
    for damage in ({"schema": 99}, {"entries": [{"ratio": "half"}]}, {"kind": 3}):
        path = tmp_path / "damaged.json"
        path.write_text(json.dumps(record | damage))
        with pytest.raises(DamagedFile, match="schema"):
            oneshot.read(path)
    with pytest.raises(ValueError, match="no criterion 'best'"):
        oneshot.curves(TINY.name, ["best"], folder=folder, progress=False)


def test_committed_curves_belong_to_committed_runs():
    runs = {record["name"]: record for record in experiments.records()}
    for record in oneshot.records():
        assert record["name"] in runs
        assert record["dense_accuracy"] == runs[record["name"]]["dense"]["test_accuracy"]
        assert not record["provenance"]["uncommitted_changes"]
        assert torch.tensor([e["test_accuracy"] for e in record["entries"]]).max() <= 1
