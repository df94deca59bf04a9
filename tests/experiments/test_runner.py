"""Recorded runs: complete, resumable, checked, and honest about where numbers come from."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from runs import METHODS, TINY, Killed, timeless

from splinelib import data, experiments, pruning, training
from splinelib.__main__ import main
from splinelib.channels import saving
from splinelib.data import folders
from splinelib.experiments import Protocol, Ticket, check_record, oneshot, read_record, run, runner


def test_the_real_path_on_a_slice_of_cifar10(cifar10_root, tmp_path):
    protocol = Protocol(
        dataset="cifar10",
        width=0.0625,
        epochs=3,
        probe=16,
        calibration=64,
        train_size=256,
        test_size=100,
    )
    record = run(protocol, METHODS, (0.5,), folder=tmp_path, root=cifar10_root, progress=False)
    assert record["dataset"] == {
        "train": 256,
        "validation": 0,
        "test": 100,
        "classes": 10,
        "shape": [3, 32, 32],
        "images": experiments.prepare(protocol, cifar10_root)[0].digest,
    }
    assert [len(entry["history"]) for entry in (record["dense"], *record["tickets"])] == [3, 1, 1]
    dense, spline, refitted = record["dense"], *record["tickets"]
    for ticket in (spline, refitted):
        assert ticket["size"]["macs"] < dense["size"]["macs"]
        assert ticket["pflop"] < dense["pflop"]
    assert record == read_record(tmp_path / f"{protocol.name}.json")
    assert check_record(record) == []


@pytest.mark.parametrize(("network", "size"), [("resnet18", 64), ("resnet50", 224)])
def test_an_image_folder_takes_the_same_way(tmp_path, monkeypatch, network, size):
    """A tree like ImageNet's, too large for memory, from pictures to a record, and resumed."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 3), ("val", 1)):
        for label in ("ant", "bee"):
            folder = tmp_path / "insects" / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 255, (30 + number, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    monkeypatch.setattr(folders, "_IN_MEMORY", 0)
    monkeypatch.setenv("SPLINELIB_DATA", str(tmp_path / "cache"))
    words = ["run", "--dataset", f"folder:{tmp_path / 'insects'}", "--image-size", f"{size}"]
    words += ["--network", network, "--width", "0.0625", "--epochs", "2", "--batch-size", "4"]
    words += ["--probe", "2", "--calibration", "4", "--criteria", "spline@residual+refit"]
    assert main([*words, "--ratios", "0.5", "--folder", str(tmp_path / "runs")]) == 0
    (record,) = experiments.records(tmp_path / "runs")
    assert record["dataset"]["shape"] == [3, size, size] and record["dataset"]["train"] == 6
    assert record["protocol"]["dataset"] == "folder:insects"
    assert str(tmp_path) not in json.dumps(record)
    (ticket,) = record["tickets"]
    assert ticket["size"]["channels"] == record["dense"]["size"]["channels"] - sum(
        before - after for before, after in ticket["widths"].values()
    )
    assert ticket["size"]["macs"] < record["dense"]["size"]["macs"]


def test_a_lottery_ticket_is_drawn_at_the_end_and_starts_at_the_start(tmp_path, monkeypatch):
    started = {}

    def train(model, data, recipe, **options):
        started[options["label"].split()[-1]] = (recipe.start, copy.deepcopy(model))
        return training.train(model, data, recipe, **options)

    monkeypatch.setattr(runner, "train", train)
    methods = ("magnitude", "lottery:magnitude")
    record = run(TINY, methods, (0.5,), folder=tmp_path, progress=False)
    early, lottery = record["tickets"]
    assert [Ticket.of(t).method for t in record["tickets"]] == list(methods)
    assert len(lottery["history"]) == TINY.epochs > len(early["history"])
    start, first = started["lottery-magnitude-0.5"]
    assert start == 0
    # the channels that the trained network's scores keep, with the weights of the untrained one
    dataset, _ = experiments.prepare(TINY)
    dense = experiments.build(TINY, dataset)
    dense.load_state_dict(
        training.read_checkpoint(tmp_path / "checkpoints" / TINY.name / "dense.pt")["model"]
    )
    pruned = pruning.prune(
        dense, 0.5, criterion="magnitude", example=torch.zeros(1, *dataset.shape)
    )
    wanted = saving.rewind(pruned, experiments.build(TINY, dataset))
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), wanted.state_dict().values(), strict=True)
    )
    # it costs a whole dense run and a whole run of its own, and no detection
    assert lottery["flops"]["dense"] == record["dense"]["flops"]["dense"]
    assert lottery["flops"]["detection"] == 0 < early["flops"]["detection"]
    per_mac = early["flops"]["ticket"] / len(early["history"]) / early["size"]["macs"]
    epoch = lottery["flops"]["ticket"] / TINY.epochs
    assert epoch == pytest.approx(per_mac * lottery["size"]["macs"])
    with pytest.raises(ValueError, match=r"here nothing is trained.*lottery:"):
        oneshot.curves(record["name"], ["lottery:bn"], (0.5,), folder=tmp_path)


def test_the_ratio_is_honoured_to_the_unit(tiny):
    record, _ = tiny
    for ticket in record["tickets"]:
        hidden = list(ticket["widths"].values())[:-1]
        before, after = (sum(column) for column in zip(*hidden, strict=True))
        assert after == before - round(ticket["ratio"] * before)
        assert list(ticket["widths"].values())[-1] == [10, 10]
        assert ticket["size"]["channels"] == after
        assert record["dense"]["size"]["channels"] == before


def test_the_ledger_counts_every_phase(tiny):
    record, _ = tiny
    dense, bird = record["dense"], record["early_bird"]
    forward = 2 * dense["size"]["macs"]
    assert dense["flops"] == {"dense": 3 * forward * 128 * 4}
    drawn = bird["drawn_after"] + 1
    for ticket in record["tickets"]:
        flops = ticket["flops"]
        assert flops["dense"] == 3 * forward * 128 * drawn
        assert flops["detection"] == forward * bird["probe"] * drawn
        assert flops["scoring"] > 0
        assert flops["ticket"] == 3 * 2 * ticket["size"]["macs"] * 128 * (4 - drawn)
        assert ticket["pflop"] == pytest.approx(sum(flops.values()) / 1e15)
        assert ticket["units"] == pytest.approx(ticket["pflop"] / 0.05)
    scoring = {ticket["compensate"]: ticket["flops"]["scoring"] for ticket in record["tickets"]}
    assert scoring["refit"] > scoring[False]  # calibration passes are paid for


def test_tickets_go_on_from_the_draw_to_the_end_of_the_schedule(tiny):
    record, _ = tiny
    start = record["early_bird"]["drawn_after"] + 1
    rates = [row["learning_rate"] for row in record["dense"]["history"]]
    for ticket in record["tickets"]:
        assert [row["epoch"] for row in ticket["history"]] == list(range(start, 4))
        assert [row["learning_rate"] for row in ticket["history"]] == rates[start:]
        assert ticket["test_accuracy"] == ticket["history"][-1]["test_accuracy"]


def test_nothing_depends_on_the_test_images(tiny, tmp_path, monkeypatch):
    load = data.load

    def with_other_test_images(*arguments, **options):
        dataset = load(*arguments, **options)
        return replace(dataset, test_images=255 - dataset.test_images)

    monkeypatch.setattr(data, "load", with_other_test_images)
    record = run(TINY, METHODS, (0.25, 0.5), folder=tmp_path, progress=False)

    def blind(entry):
        if isinstance(entry, dict):
            return {
                k: blind(v)
                for k, v in entry.items()
                if ("accuracy" not in k and k != "images") or k == "train_accuracy"
            }
        return [blind(part) for part in entry] if isinstance(entry, list) else entry

    assert blind(timeless(record)) == blind(timeless(tiny[0]))
    assert record["dense"]["test_accuracy"] != tiny[0]["dense"]["test_accuracy"]


def test_held_out_images_are_not_trained_on(tmp_path):
    record = run(replace(TINY, validation=0.25), (), folder=tmp_path, progress=False)
    assert record["dataset"]["train"] + record["dataset"]["validation"] == 128
    assert abs(record["dataset"]["validation"] - 32) <= 5  # a quarter of each of ten classes
    assert all("validation_accuracy" in row for row in record["dense"]["history"])


@pytest.mark.parametrize("moment", [0, 1, 2, 3, 4, 5, 7, 9])
def test_a_run_killed_at_any_moment_goes_on_to_the_same_record(tiny, tmp_path, monkeypatch, moment):
    """Evaluations happen all along the run: after each epoch, after each draw."""
    evaluate, calls = runner.evaluate, []

    def deadly(*arguments, **options):
        calls.append(None)
        if len(calls) == moment + 1:
            raise Killed
        return evaluate(*arguments, **options)

    monkeypatch.setattr(runner, "evaluate", deadly)
    arguments = {"folder": tmp_path, "progress": False}
    with pytest.raises(Killed):
        run(TINY, METHODS, (0.25, 0.5), **arguments)
    record = run(TINY, METHODS, (0.25, 0.5), **arguments)
    assert timeless(record) == timeless(tiny[0])
    assert not list(tmp_path.glob("**/*.part*")) and not list(tmp_path.glob("*.lock"))


def test_dense_and_ticket_are_timed_in_one_layout(tmp_path, monkeypatch):
    """Channels last is half as fast again on a CPU: a ticket must not owe its speed to that."""
    timed = []

    def watched(models, example, *rest, **options):
        timed.append(list(models))
        return training.latencies(models, example, *rest, **options)

    monkeypatch.setattr(runner, "latencies", watched)
    run(
        replace(TINY, network="vgg16", width=0.0625, epochs=2, train_size=64),
        *(("magnitude",), (0.5,)),
        folder=tmp_path,
        progress=False,
    )
    (pair,) = timed
    assert len(pair) == 2
    for model in pair:
        weights = [p for p in model.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1]
        assert weights
        assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)


def test_what_is_recorded_is_not_run_again_and_tickets_can_be_added(tmp_path, monkeypatch):
    first = run(TINY, ("spline",), (0.25,), folder=tmp_path, progress=False)
    more = run(TINY, ("spline", "fpgm"), (0.25,), folder=tmp_path, progress=False)
    assert more["tickets"][0] == first["tickets"][0] and more["dense"] == first["dense"]
    assert [ticket["criterion"] for ticket in more["tickets"]] == ["spline", "fpgm"]

    def no_training(*arguments, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(runner, "train", no_training)
    assert run(TINY, ("fpgm", "spline"), (0.25,), folder=tmp_path, progress=False) == more


def test_other_settings_do_not_overwrite_a_record(tiny):
    record, folder = tiny
    with pytest.raises(ValueError, match=r"lr 0\.05 \(now 0\.2\).*--name"):
        run(replace(TINY, lr=0.2), (), name=record["name"], folder=folder, progress=False)


def test_adding_tickets_without_the_checkpoint_is_refused(tiny, tmp_path):
    record, folder = tiny
    (tmp_path / f"{record['name']}.json").write_text(
        (folder / f"{record['name']}.json").read_text()
    )
    with pytest.raises(ValueError, match="checkpoint"):
        run(TINY, ("bn",), (0.5,), folder=tmp_path, progress=False)


def test_a_run_that_lacks_the_network_to_draw_from_says_so(tmp_path, monkeypatch):
    """As one that was half trained before runs kept the networks that masks settle at."""
    measure, kept = runner.measure, tmp_path / "checkpoints" / TINY.name / "draw.pt"

    def losing(*arguments, **options):
        kept.unlink()
        return measure(*arguments, **options)

    monkeypatch.setattr(runner, "measure", losing)
    with pytest.raises(ValueError, match=r"recorded, but not.*draw\.pt.*--name"):
        run(TINY, folder=tmp_path, progress=False)


@pytest.mark.parametrize(
    ("text", "ratio", "message"), [("bn", 0.5, "no layer"), ("spline", 0.99, "ratio|unit")]
)
def test_tickets_that_the_network_cannot_give_are_refused_before_training(
    tmp_path, monkeypatch, text, ratio, message
):
    def no_training(*arguments, **options):
        raise AssertionError("trained first")

    monkeypatch.setattr(runner, "train", no_training)
    with pytest.raises(ValueError, match=message):
        run(TINY, (text,), (ratio,), folder=tmp_path, progress=False)
