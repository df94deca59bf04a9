"""One-shot curves: pruned without retraining, recorded, added to, refused."""

import json

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
    plain = oneshot.series(record, "layerwise")
    refitted = oneshot.series(record, "layerwise", "refit")
    assert list(plain) == list(refitted) == ["magnitude"]
    assert plain["magnitude"][0] == [0.5, 0.8]
    assert max(refitted["magnitude"][1]) > max(plain["magnitude"][1])
    assert not oneshot.series(record, "residual", "fold")
    text = oneshot.summary(record)
    for entry in record["entries"]:
        assert f"{100 * entry['test_accuracy']:.2f}" in text


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

    monkeypatch.setattr(oneshot._Pruner, "entry", never)
    assert oneshot.curves(TINY.name, ["random"], (0.5,), folder=folder, progress=False) == added


def test_an_interruption_loses_nothing(folder, tmp_path, monkeypatch):
    shared = {"folder": folder, "progress": False}
    before = len(oneshot.records(folder)[0]["entries"])
    whole = oneshot._Pruner.entry

    def deadly(self, ticket):
        if ticket.ratio == 0.7:
            raise KeyboardInterrupt
        return whole(self, ticket)

    monkeypatch.setattr(oneshot._Pruner, "entry", deadly)
    with pytest.raises(KeyboardInterrupt):
        oneshot.curves(TINY.name, ["l2"], (0.6, 0.7), **shared)
    assert len(oneshot.records(folder)[0]["entries"]) == before + 1
    monkeypatch.setattr(oneshot._Pruner, "entry", whole)
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
