"""Recorded runs: complete, resumable, checked, and honest about where numbers come from."""

import copy
import json
import os
import platform
import shlex
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from splinelib import data, experiments, oneshot, pruning, reports, saving, training, watch
from splinelib.__main__ import _parser, main
from splinelib.errors import DamagedFile, SplineError
from splinelib.experiments import Protocol, Ticket, check_record, published, read_record, run
from splinelib.records import checkout, locked

TINY = Protocol(
    network="mlp",
    width=0.25,
    epochs=4,
    lr=0.05,
    batch_size=16,
    probe=16,
    calibration=64,
    train_size=128,
    test_size=64,
)
METHODS = ("spline", "random+refit")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """One whole run on digits: its record and its folder."""
    folder = tmp_path_factory.mktemp("runs")
    return run(TINY, METHODS, (0.25, 0.5), folder=folder, progress=False), folder


def timeless(value):
    """A record without what differs between two runs of the same thing: times and dates."""
    if isinstance(value, dict):
        left_out = {"latency", "dense_latency", "finished", "commit", "uncommitted_changes"}
        return {
            key: timeless(entry)
            for key, entry in value.items()
            if key not in left_out and "seconds" not in key
        }
    return [timeless(entry) for entry in value] if isinstance(value, list) else value


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
    monkeypatch.setattr(data, "_IN_MEMORY", 0)
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

    def train(model, *arguments, start, label, **options):
        started[label.split()[-1]] = (start, copy.deepcopy(model))
        return training.train(model, *arguments, start=start, label=label, **options)

    monkeypatch.setattr(experiments, "train", train)
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


# The masks of FPGM and magnitude settle at different epochs here, those of the spline criterion too
# late, and the codes never.
SETTLING = replace(TINY, epochs=9, lr=0.02, latest_draw=7, threshold=1e-9)


def test_masks_decide_when_the_tickets_that_ask_for_it_are_drawn(tmp_path, monkeypatch):
    """Also where the run was killed after some masks had settled and before others had."""
    evaluate, calls, methods = experiments.evaluate, [], ("fpgm", "masks:fpgm", "masks:magnitude")

    def deadly(*arguments, **options):
        calls.append(None)
        if len(calls) == 6:
            raise Killed
        return evaluate(*arguments, **options)

    monkeypatch.setattr(experiments, "evaluate", deadly)
    arguments = {"folder": tmp_path, "progress": False}
    with pytest.raises(Killed):
        run(SETTLING, methods, (0.3, 0.5, 0.7), **arguments)
    record = run(SETTLING, methods, (0.3, 0.5, 0.7), **arguments)
    record = run(SETTLING, ("masks:spline",), (0.3,), **arguments)  # added afterwards
    assert check_record(record) == []

    states = []
    dataset, _ = experiments.prepare(SETTLING)
    settings = ("epochs", "lr", "batch_size", "momentum", "weight_decay", "l1", "seed")
    training.train(
        experiments.build(SETTLING, dataset),
        dataset,
        **{name: getattr(SETTLING, name) for name in settings},
        on_epoch=lambda _, model: states.append(copy.deepcopy(model.state_dict())),
        progress=False,
    )
    settled = {
        (m["criterion"], m["ratio"]): m["settled_epoch"] for m in record["early_bird"]["masks"]
    }
    drawn, work = set(), tmp_path / "checkpoints" / SETTLING.name
    for entry in record["tickets"]:
        ticket = Ticket.of(entry)
        after = entry["drawn_after"]
        found = settled[ticket.criterion, ticket.ratio] if ticket.rule == "masks" else None
        assert after == (7 if found is None else min(found, 7))
        assert len(entry["history"]) == 9 - after - 1
        assert (entry["flops"]["detection"] > 0) == (ticket.rule == "codes")
        held = training.read_checkpoint(work / watch.source(ticket, record["early_bird"], SETTLING))
        assert held["epoch"] == after
        assert all(torch.equal(held["model"][name], states[after][name]) for name in states[after])
        drawn.add(after)
    assert len(drawn) > 2  # before and after the kill, and where nothing settled
    with pytest.raises(ValueError, match=r"not watched.*spline at 0\.3"):
        run(SETTLING, ("masks:random",), (0.5,), folder=tmp_path / "other", progress=False)


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


def test_masks_are_watched_in_the_same_run(tiny):
    """Every criterion that applies, at every ratio, an epoch a row; no ticket here asks them."""
    watched = tiny[0]["early_bird"]["masks"]
    keys = [(entry["criterion"], entry["ratio"]) for entry in watched]
    criteria = [name for name in watch.CRITERIA if name != "bn"]  # the MLP has no batch norm
    assert keys == [(name, ratio) for name in criteria for ratio in watch.RATIOS]
    for entry in watched:
        assert [len(row) for row in entry["rows"]] == [0, 1, 2, 3]
        assert all(0 <= value <= 1 for row in entry["rows"] for value in row)
        assert entry["settled_epoch"] is None  # a queue of five is not full in four epochs
    assert max(value for entry in watched for row in entry["rows"] for value in row) > 0


def test_tickets_go_on_from_the_draw_to_the_end_of_the_schedule(tiny):
    record, _ = tiny
    start = record["early_bird"]["drawn_after"] + 1
    rates = [row["learning_rate"] for row in record["dense"]["history"]]
    for ticket in record["tickets"]:
        assert [row["epoch"] for row in ticket["history"]] == list(range(start, 4))
        assert [row["learning_rate"] for row in ticket["history"]] == rates[start:]
        assert ticket["test_accuracy"] == ticket["history"][-1]["test_accuracy"]


def test_a_record_says_where_it_comes_from_and_nothing_private(tiny):
    record, folder = tiny
    text = (folder / f"{record['name']}.json").read_text()
    assert platform.node() not in text
    for place in (str(folder), str(Path.home()), os.getcwd()):
        assert place not in text
    made = record["dense"]["provenance"]
    assert made["versions"]["torch"] == torch.__version__
    assert made["hardware"]["threads"] == torch.get_num_threads()


def test_the_command_in_a_record_asks_for_the_same_run(tiny):
    record, _ = tiny
    words = shlex.split(record["command"])
    assert words[:3] == ["python", "-m", "splinelib"]
    options = _parser().parse_args(words[3:])
    for key, value in record["protocol"].items():
        assert getattr(options, key) == value
    asked = {Ticket.parse(text, ratio) for text in options.criteria for ratio in options.ratios}
    assert asked == {Ticket.of(entry) for entry in record["tickets"]}


def test_the_early_bird_decides_when_to_draw(tmp_path):
    early = replace(TINY, threshold=1.0, lookback=1, epochs=6)
    bird = run(early, (), folder=tmp_path, progress=False)["early_bird"]
    assert bird["settled_epoch"] == bird["drawn_after"] == 1
    assert bird["reason"] == "early bird"
    assert len(bird["distances"]) == len(bird["matrix"]) == 6
    assert bird["distances"][0] is None


@pytest.mark.parametrize(("latest", "expected"), [(None, 1), (2, 2)])
def test_a_bird_that_never_comes_is_recorded_as_such(tmp_path, latest, expected):
    never = replace(TINY, threshold=1e-9, latest_draw=latest)
    bird = run(never, (), folder=tmp_path, progress=False)["early_bird"]
    assert bird["settled_epoch"] is None
    assert bird["drawn_after"] == expected
    assert bird["reason"] == "latest epoch allowed"


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
                if "accuracy" not in k or k == "train_accuracy"
            }
        return [blind(part) for part in entry] if isinstance(entry, list) else entry

    assert blind(timeless(record)) == blind(timeless(tiny[0]))
    assert record["dense"]["test_accuracy"] != tiny[0]["dense"]["test_accuracy"]


def test_held_out_images_are_not_trained_on(tmp_path):
    record = run(replace(TINY, validation=0.25), (), folder=tmp_path, progress=False)
    assert record["dataset"]["train"] + record["dataset"]["validation"] == 128
    assert abs(record["dataset"]["validation"] - 32) <= 5  # a quarter of each of ten classes
    assert all("validation_accuracy" in row for row in record["dense"]["history"])


class Killed(BaseException):
    """Nothing in the library catches this, as nothing catches a kill."""


@pytest.mark.parametrize("moment", [0, 1, 2, 3, 4, 5, 7, 9])
def test_a_run_killed_at_any_moment_goes_on_to_the_same_record(tiny, tmp_path, monkeypatch, moment):
    """Evaluations happen all along the run: after each epoch, after each draw."""
    evaluate, calls = experiments.evaluate, []

    def deadly(*arguments, **options):
        calls.append(None)
        if len(calls) == moment + 1:
            raise Killed
        return evaluate(*arguments, **options)

    monkeypatch.setattr(experiments, "evaluate", deadly)
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

    monkeypatch.setattr(experiments, "latencies", watched)
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


def test_seeds_of_one_protocol_are_put_side_by_side(tiny):
    record = tiny[0]
    other = copy.deepcopy(record)
    other["name"], other["protocol"]["seed"] = "other", record["protocol"]["seed"] + 1
    other["dense"]["test_accuracy"] -= 0.1
    missing = other["tickets"].pop()
    other["tickets"][0]["drawn_after"] = 2  # by a rule of its own
    del other["tickets"][1]["drawn_after"]  # as in records of before there were rules
    longer = copy.deepcopy(record)
    longer["protocol"]["epochs"] += 1
    first, second = experiments.across_seeds([other, longer, record])
    assert first[0].method == "dense" and len(first) == 1 + len(record["tickets"])
    assert first[0].seeds == [0, 1] and first[0].names == [record["name"], "other"]
    assert first[0].points == [0, 0] and first[0].cost == [1, 1] and first[0].latency == [1, 1]
    for spread in first[1:]:
        mine = [t for t in record["tickets"] if Ticket.of(t).method == spread.method]
        ticket = next(t for t in mine if t["ratio"] == spread.ratio)
        whole = (ticket["criterion"], ticket["ratio"]) != (missing["criterion"], missing["ratio"])
        assert len(spread.accuracy) == (2 if whole else 1)
        assert spread.accuracy[0] == ticket["test_accuracy"]
        gain = 100 * (ticket["test_accuracy"] - record["dense"]["test_accuracy"])
        assert spread.points == pytest.approx([gain, gain + 10][: len(spread.points)])
    assert len(second) == len(first) and second[0].seeds == [0]
    tickets = [Ticket.of(ticket) for ticket in record["tickets"]]
    assert first[0].ticket is None and {spread.ticket for spread in first[1:]} == {*tickets}
    drawn = record["early_bird"]["drawn_after"]
    assert f"(drawn after epoch {drawn + 1}," in reports.summary(record)  # counted from 1
    assert [spread.drawn_after[-1] for spread in first] == [3, 2, *[drawn] * (len(first) - 2)]
    # a latency that was not timed beside the dense network's is no share of it
    assert all(0 < share < 100 for spread in first for share in spread.latency)
    for ticket in longer["tickets"]:
        del ticket["timed_in_turns"]
    (old,) = experiments.across_seeds([longer])
    assert all(np.isnan(share) for spread in old[1:] for share in spread.latency)
    assert " nan" not in reports.compare([longer])
    # record by record, the missing ticket left out
    spline, refitted = (
        [t["test_accuracy"] for t in record["tickets"] if Ticket.of(t).method == name]
        for name in METHODS
    )
    gap = experiments.paired(first, "spline", "random+refit", 0.25)
    assert gap == [spline[0] - refitted[0]] * 2
    assert experiments.paired(first, "random+refit", "spline", 0.5) == [refitted[1] - spline[1]]
    below = experiments.paired(first, "dense", "spline", 0.5)
    assert below == pytest.approx([-p / 100 for p in first[2].points])
    assert experiments.paired(first, "spline", "bn", 0.5) == []
    # two records of one seed are two pairs, each with its own dense network
    again = copy.deepcopy(record)
    again["name"] = "again"
    for ticket in again["tickets"]:
        ticket["test_accuracy"] -= 0.2
    again["tickets"][0]["test_accuracy"] += 0.3
    (twice,) = experiments.across_seeds([record, again])
    gaps = experiments.paired(twice, "spline", "random+refit", 0.25)
    assert gaps == pytest.approx([gap[0], gap[0] + 0.3])


def test_what_is_recorded_is_not_run_again_and_tickets_can_be_added(tmp_path, monkeypatch):
    first = run(TINY, ("spline",), (0.25,), folder=tmp_path, progress=False)
    more = run(TINY, ("spline", "fpgm"), (0.25,), folder=tmp_path, progress=False)
    assert more["tickets"][0] == first["tickets"][0] and more["dense"] == first["dense"]
    assert [ticket["criterion"] for ticket in more["tickets"]] == ["spline", "fpgm"]

    def no_training(*arguments, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(experiments, "train", no_training)
    assert run(TINY, ("fpgm", "spline"), (0.25,), folder=tmp_path, progress=False) == more


def test_other_settings_do_not_overwrite_a_record(tiny):
    record, folder = tiny
    with pytest.raises(ValueError, match=r"lr 0\.05 \(now 0\.2\).*--name"):
        run(replace(TINY, lr=0.2), (), name=record["name"], folder=folder, progress=False)


def test_settings_that_are_not_the_default_are_in_the_name():
    names = {replace(TINY, **{key: value}).name for key, value in [("lr", 0.2), ("probe", 8)]}
    assert len(names | {TINY.name}) == 3
    assert (
        Protocol(batch_size=256, l1=1e-4).name == "digits-vgg16-w1-e160-batch_size256-l10.0001-s0"
    )


def test_a_record_from_before_a_setting_was_there_ran_with_its_default(tiny, tmp_path):
    record = copy.deepcopy(tiny[0])
    del record["protocol"]["image_size"]
    path = tmp_path / f"{record['name']}.json"
    path.write_text(json.dumps(record))
    assert read_record(path) == tiny[0]
    assert run(TINY, METHODS, (0.5,), folder=tmp_path, progress=False) == tiny[0]


def test_adding_tickets_without_the_checkpoint_is_refused(tiny, tmp_path):
    record, folder = tiny
    (tmp_path / f"{record['name']}.json").write_text(
        (folder / f"{record['name']}.json").read_text()
    )
    with pytest.raises(ValueError, match="checkpoint"):
        run(TINY, ("bn",), (0.5,), folder=tmp_path, progress=False)


def test_a_run_that_lacks_the_network_to_draw_from_says_so(tmp_path, monkeypatch):
    """As one that was half trained before runs kept the networks that masks settle at."""
    measure, kept = experiments.measure, tmp_path / "checkpoints" / TINY.name / "draw.pt"

    def losing(*arguments, **options):
        kept.unlink()
        return measure(*arguments, **options)

    monkeypatch.setattr(experiments, "measure", losing)
    with pytest.raises(ValueError, match=r"recorded, but not.*draw\.pt.*--name"):
        run(TINY, folder=tmp_path, progress=False)


def test_two_processes_cannot_write_one_record(tmp_path):
    with (
        locked(tmp_path / f"{TINY.name}.lock"),
        pytest.raises(experiments.RunLocked, match="Another process"),
    ):
        run(TINY, (), folder=tmp_path, progress=False)
    with locked(tmp_path / "free.lock"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(schema=0), "schema is 0"),
        (lambda r: r.pop("dense"), "record.dense is missing"),
        (lambda r: r["tickets"][0].update(ratio="half"), r"tickets\[0\].ratio is 'half'"),
        (lambda r: r["dense"]["history"].append([]), r"history\[4\] should be an object"),
        (lambda r: r["dense"].update(test_accuracy=None), "test_accuracy is None"),
        (lambda r: r["early_bird"].update(drawn_after=True), "drawn_after is True"),
    ],
)
def test_a_record_that_was_tampered_with_is_refused(tiny, tmp_path, change, message):
    record = copy.deepcopy(tiny[0])
    change(record)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=message):
        read_record(path)


def test_a_truncated_record_is_a_clear_message(tmp_path):
    (tmp_path / "record.json").write_text('{"schema": 1, ')
    with pytest.raises(DamagedFile, match="version control"):
        read_record(tmp_path / "record.json")


def test_every_record_of_the_book_can_be_read():
    for record in experiments.records():
        assert record["dense"]["provenance"]["commit"], record["name"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 1}, "epochs"),
        ({"epochs": 4, "latest_draw": 3}, "latest_draw"),
        ({"probe": 0}, "probe"),
        ({"validation": 1.0}, "validation"),
    ],
)
def test_bad_protocols(options, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**options)


@pytest.mark.parametrize(
    ("text", "ratio", "message"),
    [
        ("splines", 0.5, "Known: spline"),
        ("spline", 1.0, "ratio"),
        ("spline@some", 0.5, "scope"),
        ("spline+glue", 0.5, "compensate"),
    ],
)
def test_bad_tickets_are_refused_before_any_work(tmp_path, text, ratio, message):
    with pytest.raises(ValueError, match=message):
        run(TINY, (text,), (ratio,), folder=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "ratio", "message"), [("bn", 0.5, "no layer"), ("spline", 0.99, "ratio|unit")]
)
def test_tickets_that_the_network_cannot_give_are_refused_before_training(
    tmp_path, monkeypatch, text, ratio, message
):
    def no_training(*arguments, **options):
        raise AssertionError("trained first")

    monkeypatch.setattr(experiments, "train", no_training)
    with pytest.raises(ValueError, match=message):
        run(TINY, (text,), (ratio,), folder=tmp_path, progress=False)


def test_a_tickets_text_and_parts_agree():
    for criterion in pruning.CRITERIA:
        for scope in experiments.SCOPES:
            for compensate in experiments.COMPENSATIONS:
                ticket = Ticket(criterion, 0.5, scope, compensate)
                assert Ticket.parse(ticket.method, 0.5) == ticket
            drawn = [Ticket(criterion, 0.5, scope, rule=rule) for rule in ("codes", "masks", "end")]
            assert [Ticket.parse(ticket.method, 0.5) for ticket in drawn] == drawn
            assert len({ticket.name for ticket in drawn}) == 3
    assert Ticket.of(asdict(drawn[2])) == drawn[2]
    before = {"criterion": "bn", "ratio": 0.5, "scope": "global", "compensate": False}
    assert Ticket.of({**before, "lottery": True}).rule == "end"  # as it was recorded once
    with pytest.raises(ValueError, match="nothing to compensate"):
        Ticket.parse("lottery:bn+refit", 0.5)


def test_the_paper_s_protocol_is_the_default():
    protocol = Protocol()
    assert (protocol.epochs, protocol.lr, protocol.batch_size) == (160, 0.1, 128)
    assert (protocol.momentum, protocol.weight_decay) == (0.9, 1e-4)
    assert (protocol.threshold, protocol.lookback) == (0.16, 3)
    assert all(option.metadata["source"] for option in fields(Protocol))
    assert protocol.last_draw == 79  # the last epoch at the full rate
    assert Protocol(dataset="folder:/some/place/flowers").name == "folder-flowers-vgg16-w1-e160-s0"


def test_every_published_row_has_a_source():
    tables = [path.stem for path in (checkout() / "data" / "published").glob("*.csv")]
    assert len(tables) >= 6
    for table in tables:
        rows = published(table)
        assert rows, table
        for row in rows:
            assert row["source"] and row["how_read"], (table, row)
            assert None not in row, f"{table}: a row with more cells than columns"
            for column, value in row.items():
                if column.endswith("_percent"):
                    assert 0 < value <= 100, (table, row)


def test_published_tables_are_read_as_numbers():
    rows = published("early_bird_vgg16_cifar100")
    row = next(row for row in rows if row["method"] == "EB Train" and row["ratio"] == 0.5)
    assert (row["accuracy_percent"], row["cost_units"]) == (71.28, 197)
    with pytest.raises(ValueError, match="network_sizes"):
        published("nothing")


def test_the_command_line_runs_and_lists(tmp_path, capsys):
    words = [
        *("run", "--network", "mlp", "--dataset", "digits", "--epochs", "2"),
        *("--probe", "8", "--train-size", "64", "--test-size", "32"),
        *("--criteria", "magnitude", "--ratios", "0.5", "--folder", str(tmp_path)),
    ]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "magnitude" in shown and "50 %" in shown
    assert main(["runs", "--folder", str(tmp_path)]) == 0
    assert "1 records, 0 damaged" in capsys.readouterr().out
    (tmp_path / "broken.json").write_text("{")
    assert main(["runs", "--folder", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "broken.json" in captured.err and "2 records, 1 damaged" in captured.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "mnist"], "There is no dataset 'mnist'"),
        (["--network", "alexnet"], "There is no network 'alexnet'"),
        (["--criteria", "best"], "There is no criterion 'best'"),
        (["--ratios", "1.5"], "ratio"),
        (["--epochs", "0"], "epochs"),
    ],
)
def test_the_command_line_answers_bad_input_in_one_line(tmp_path, capsys, words, message):
    assert main(["run", *words, "--folder", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "The same command goes on"),
        (SplineError("said plainly"), 2, "said plainly"),
    ],
)
def test_the_command_line_ends_quietly(monkeypatch, capsys, raised, status, message):
    def stopped(*arguments, **options):
        raise raised

    monkeypatch.setattr("splinelib.__main__.run", stopped)
    assert main(["run", "--network", "mlp"]) == status
    assert message in capsys.readouterr().err
