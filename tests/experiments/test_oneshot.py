"""One-shot curves: pruned without retraining, recorded, added to, refused."""

import json

import pytest
import torch
from runs import CURVES, CURVES_METHODS

import splinelib as sl
from splinelib import experiments
from splinelib.__main__ import main
from splinelib.errors import DamagedFile
from splinelib.experiments import earnings, oneshot
from splinelib.pruning import pruner
from splinelib.training import evaluate, read_checkpoint


def test_an_entry_is_what_prune_gives(folder):
    record = oneshot.records(folder)[0]
    dataset, _ = experiments.prepare(CURVES)
    dense = experiments.build(CURVES, dataset)
    dense.load_state_dict(
        read_checkpoint(folder / "checkpoints" / CURVES.name / "dense.pt")["model"]
    )
    data, labels = experiments.sample(dataset, CURVES.calibration, CURVES.seed)
    test = dataset.test_images, dataset.test_labels
    assert record["dense_accuracy"] == evaluate(dense, *test, transform=dataset.to_float)
    assert len(record["entries"]) == len(CURVES_METHODS) * 2
    for entry in record["entries"]:
        options = {key: entry[key] for key in ("criterion", "scope", "compensate")}
        small = sl.prune(dense, entry["ratio"], data=data, labels=labels, **options)
        assert entry["test_accuracy"] == evaluate(small, *test, transform=dataset.to_float)
        assert entry["parameters"] == sum(p.numel() for p in small.parameters())


def test_series_and_summary_show_every_entry(folder):
    record = oneshot.records(folder)[0]
    plain = earnings.series([record["entries"]], "layerwise")
    refitted = earnings.series([record["entries"]], "layerwise", "refit")
    assert list(plain) == list(refitted) == ["magnitude"]
    assert plain["magnitude"][0] == [0.5, 0.8] and plain["magnitude"][1].shape == (1, 2)
    assert refitted["magnitude"][1].max() > plain["magnitude"][1].max()
    assert not earnings.series([record["entries"]], "residual", "fold")
    text = oneshot.summary(record)
    for entry in record["entries"]:
        assert f"{100 * entry['test_accuracy']:.2f}" in text


def test_compare_gives_what_prune_gives_and_scores_once(monkeypatch):
    dataset = sl.data.load("digits").subset(train=256, test=128)
    data, labels = dataset.to_float(dataset.train_images), dataset.train_labels
    model = sl.models.build("mlp", dataset, seed=0)
    test = dataset.to_float(dataset.test_images), dataset.test_labels
    calls = []
    score = pruner.group_scores
    monkeypatch.setattr(pruner, "group_scores", lambda *args: calls.append(args[1]) or score(*args))
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


def test_what_is_recorded_is_not_done_again(folder, monkeypatch):
    before = oneshot.records(folder)[0]
    added = oneshot.curves(
        CURVES.name, ["bn", *CURVES_METHODS[:1]], (), folder=folder, progress=False
    )
    assert added == before
    added = oneshot.curves(CURVES.name, ["random"], (0.5,), folder=folder, progress=False)
    assert added["entries"][:-1] == before["entries"]
    assert added["entries"][-1]["criterion"] == "random"
    assert "--methods" in added["command"] and "random" in added["command"]

    def never(*_):
        raise AssertionError("pruned again")

    monkeypatch.setattr(oneshot, "_entry", never)
    assert oneshot.curves(CURVES.name, ["random"], (0.5,), folder=folder, progress=False) == added


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
        oneshot.curves(CURVES.name, ["l2"], (0.6, 0.7), **shared)
    assert len(oneshot.records(folder)[0]["entries"]) == before + 1
    monkeypatch.setattr(oneshot, "_entry", whole)
    assert len(oneshot.curves(CURVES.name, ["l2"], (0.6, 0.7), **shared)["entries"]) == before + 2


def test_the_command_line_records_and_lists(folder, capsys):
    name = CURVES.name
    assert (
        main(["oneshot", name, "--methods", "l2", "--ratios", "0.2", "--folder", str(folder)]) == 0
    )
    assert "one shot" in capsys.readouterr().out
    assert main(["runs", "--folder", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "one shot" in shown and "2 records, 0 damaged" in shown


def test_what_is_missing_or_damaged_is_said(folder, tmp_path):
    with pytest.raises(ValueError, match=rf"no recorded run 'other'.*{CURVES.name}"):
        oneshot.curves("other", folder=folder, progress=False)
    source = folder / f"{CURVES.name}.json"
    (tmp_path / source.name).write_bytes(source.read_bytes())
    with pytest.raises(ValueError, match=r"not on this machine.*splinelib run"):
        oneshot.curves(CURVES.name, ["l2"], folder=tmp_path, progress=False)
    record = json.loads((folder / "oneshot" / source.name).read_text())
    for damage in ({"schema": 99}, {"entries": [{"ratio": "half"}]}, {"kind": 3}):
        path = tmp_path / "damaged.json"
        path.write_text(json.dumps(record | damage))
        with pytest.raises(DamagedFile, match="schema"):
            oneshot.read(path)
    with pytest.raises(ValueError, match="no criterion 'best'"):
        oneshot.curves(CURVES.name, ["best"], folder=folder, progress=False)


def test_committed_curves_belong_to_committed_runs():
    runs = {record["name"]: record for record in experiments.records()}
    for record in oneshot.records():
        assert record["name"] in runs
        assert record["dense_accuracy"] == runs[record["name"]]["dense"]["test_accuracy"]
        assert not record["provenance"]["uncommitted_changes"]
        assert torch.tensor([e["test_accuracy"] for e in record["entries"]]).max() <= 1
