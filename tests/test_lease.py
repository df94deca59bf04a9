"""What is done in the minutes of a lent GPU, rehearsed at a tiny scale on the CPU."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from splinelib import experiments
from splinelib.data import loading
from splinelib.errors import DamagedFile
from splinelib.experiments import Protocol, Ticket, read_record
from splinelib.experiments import oneshot as one_shot
from tools import lease, speed

ROOT = Path(__file__).resolve().parents[1]
# What is installed on a machine that is lent for its GPU; `needed` adds what these need.
THERE = [
    *("torch", "torchvision", "numpy", "scikit-learn", "scipy", "matplotlib", "tqdm", "joblib"),
    *("filelock", "pyyaml", "pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "anyio"),
    *("pip", "setuptools"),
]
SPLINE, BN = Ticket("spline", 0.5), Ticket("bn", 0.5)
FIRST, SECOND = Protocol(epochs=2), Protocol(epochs=2, seed=1)


def record(protocol: Protocol, *tickets: Ticket) -> dict:
    """As much of a record as is looked at."""
    return {"protocol": vars(protocol), "tickets": [vars(ticket) for ticket in tickets]}


def test_what_is_missing_comes_in_the_order_of_its_worth():
    stages = [{FIRST: [SPLINE]}, {SECOND: []}, {FIRST: [SPLINE, BN], SECOND: [BN]}]
    assert [(u.name, u.tickets) for u in lease.missing(stages, [])] == [
        (FIRST.name, (SPLINE,)),
        (SECOND.name, ()),
        (FIRST.name, (BN,)),
        (SECOND.name, (BN,)),
    ]
    there = [record(FIRST, SPLINE), record(SECOND, BN)]
    assert [(u.name, u.tickets) for u in lease.missing(stages, there)] == [
        (f"{FIRST.name}-2", (BN,))  # its own dense network: the checkpoints of the first are gone
    ]
    assert lease.missing(stages, [*there, record(FIRST, BN)]) == []


def test_the_wish_list_is_the_papers_protocol():
    units = lease.missing(lease.wanted(tiny=False), [])
    first = units[0]
    assert first.protocol == Protocol(network="vgg16", dataset="cifar10", seed=0)
    assert {ticket.method for ticket in first.tickets} == {"spline@residual+refit"}
    assert [ticket.ratio for ticket in first.tickets] == [0.5, 0.3, 0.7]
    assert [t.name for t in units[1].tickets] == ["lottery-magnitude-0.5", "bn-0.5"]
    assert units[2].protocol.epochs == 80 and not units[2].tickets
    assert [unit.protocol.seed for unit in units[:9]] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert {"preresnet101", "resnet18"} <= {unit.protocol.network for unit in units}
    assert "cifar100" in {unit.protocol.dataset for unit in units}


def test_curves_come_behind_all_that_is_made_of_a_network_on_its_images():
    other = replace(FIRST, dataset="cifar100")
    third = replace(FIRST, network="resnet18")
    assert FIRST.network == lease.CURVES[0] and third.network == lease.CURVES[1]
    stages = [{FIRST: [SPLINE], SECOND: [BN]}, {other: [BN]}, {third: []}]

    def made(records, curved=()):
        units = lease.with_curves(lease.missing(stages, records), stages, records, curved)
        return [(unit.name, str(unit)) for unit in units]

    curves, dense = "one-shot curves", "dense alone"
    assert made([]) == [
        (FIRST.name, SPLINE.name),
        (SECOND.name, BN.name),
        (FIRST.name, curves),
        (other.name, BN.name),
        (third.name, dense),
        (third.name, curves),
    ]
    whole = {"name": FIRST.name, **record(FIRST, SPLINE)}
    # Its checkpoint is gone, so that curves need a dense network of their own, unless they are.
    assert (f"{FIRST.name}-2", curves) in made([whole])
    assert [told for _, told in made([whole], {FIRST.name})].count(curves) == 1
    assert lease.Unit("a", FIRST, (SPLINE,), True).seconds(10) == 35 + lease.CURVES_TAKE


def test_curves_are_drawn_packed_and_brought_home(tmp_path, monkeypatch):
    monkeypatch.setattr(one_shot, "VARIANTS", ("@layerwise",))
    monkeypatch.setattr(one_shot.pruning, "CRITERIA", {"magnitude": None, "random": None})
    protocol = Protocol(network="mlp", **{k: v for k, v in lease.TINY.items() if k != "width"})
    task = json.dumps(["it", vars(protocol), [], True])
    lease.make(task, tmp_path / "made", shared=False, eager=False)
    lease.pack(tmp_path / "made", tmp_path / "records.zip")
    told = lease.collect(tmp_path / "records.zip", tmp_path / "runs")
    assert told == ["it.json: taken", "it.json: taken"]
    assert read_record(tmp_path / "runs" / "it.json")["tickets"] == []
    curves = one_shot.read(tmp_path / "runs" / "oneshot" / "it.json")
    assert len(curves["entries"]) == 2 * len(one_shot.RATIOS)


def test_as_many_tickets_are_made_as_fit():
    unit = lease.Unit("a", FIRST, (SPLINE, BN))
    assert unit.seconds(10) == 10 * (2 + 2 * 1.5)  # half the units: three quarters of an epoch
    assert unit.seconds(10, with_dense=False) == 30
    assert lease.fitting(unit, 10, 50, with_dense=True) == unit
    assert lease.fitting(unit, 10, 49, with_dense=True).tickets == (SPLINE,)
    assert lease.fitting(unit, 10, 34, with_dense=True) is None
    assert lease.fitting(unit, 10, 34, with_dense=False) == unit
    assert lease.fitting(replace(unit, tickets=()), 10, 20, with_dense=True).tickets == ()


def test_a_report_on_speed_that_was_cut_says_what_it_says():
    text = 'vgg16: …\nmeasured {"epochs": {"vgg16": 2.0}, "eager": {"vgg16": true}}\n'
    eager = {"vgg16": True}
    assert speed.read(text) == {"epochs": {"vgg16": 2.0}, "at_once": 1, "eager": eager}
    text += 'measured {"at_once": 3, "slower": 1.5}\n'
    text += 'measured {"epochs": {"resnet18": 4.0}, "eager": {"resnet18": false}}\n'
    assert speed.read(text) == {
        "epochs": {"vgg16": 3.0, "resnet18": 6.0},
        "at_once": 3,
        "eager": eager | {"resnet18": False},
    }
    assert speed.read("") == {"epochs": {}, "at_once": 1, "eager": {}}


def test_the_floor_is_that_of_the_operations():
    protocol, dataset = Protocol(network="mlp"), experiments.prepare(Protocol(), None)[0]
    model = experiments.build(protocol, dataset)
    weights = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
    everything = sum(p.numel() for p in model.parameters())
    images = len(dataset.train_images)
    outputs = sum(m.out_features for m in model.modules() if isinstance(m, nn.Linear))
    moved = images * outputs * speed.TOUCHED * 2 + images / 128 * everything * 24
    operations = images * 6 * weights
    expected = max(operations / speed.OPERATIONS, moved / speed.BYTES)
    assert speed.floor(protocol, dataset) == pytest.approx(expected, rel=0.02)


def test_without_a_gpu_it_says_what_it_would_do(monkeypatch):
    monkeypatch.setattr(lease.torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"no GPU here .* \d+ records are missing:\n  cifar10"):
        lease.main(["--out", "nowhere"])
    assert not Path("nowhere").exists()


@pytest.mark.parametrize("arguments", [[], ["--out", "nowhere", "--minutes", "0"]])
def test_a_place_and_some_minutes_are_asked_for(arguments, capsys):
    with pytest.raises(SystemExit):
        lease.main(arguments)
    assert "--out, --minutes" in capsys.readouterr().err


def test_images_that_are_damaged_are_said_before_anything_is_done(tmp_path, monkeypatch):
    (tmp_path / "cifar10.npz").write_bytes(b"no archive")
    monkeypatch.setenv("SPLINELIB_DATA", str(tmp_path))
    monkeypatch.setattr(lease.torch.cuda, "is_available", lambda: True)
    with pytest.raises(SystemExit, match=r"images cannot be read\. .*cifar10.npz is truncated"):
        lease.main(["--out", str(tmp_path / "out")])


def test_images_that_are_not_there_are_said_before_anything_is_done(tmp_path, monkeypatch):
    def unreachable(name, path):
        raise ConnectionError(f"{name} is not at {path} and could not be downloaded")

    monkeypatch.setenv("SPLINELIB_DATA", str(tmp_path))
    monkeypatch.setattr(loading, "_download", unreachable)
    monkeypatch.setattr(lease.torch.cuda, "is_available", lambda: True)
    with pytest.raises(
        SystemExit, match=r"images cannot be read\. cifar10 is not at .*cifar10.npz"
    ):
        lease.main(["--out", str(tmp_path / "out")])
    # What others are trained on is no reason to do nothing: they wait.
    (tmp_path / "cifar100.npz").write_bytes(b"no archive")
    units = [
        lease.Unit("a", Protocol(dataset=name), ()) for name in ("digits", "cifar100", "digits")
    ]
    assert small_lease(tmp_path).readable(units) == [units[0], units[2]]
    report = (tmp_path / "out" / "report.txt").read_text()
    assert re.search(r"trained on cifar100 waits: .*cifar100.npz is truncated", report)


def small_lease(tmp_path: Path, minutes: float = 5) -> lease.Lease:
    return lease.Lease(minutes, tmp_path / "out", tmp_path / "work", tiny=True)


def test_a_part_that_hangs_is_cut_and_what_it_printed_is_kept(tmp_path, monkeypatch):
    (tmp_path / "hangs.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(99)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    short = small_lease(tmp_path, minutes=(lease.ENDING + 6) / 60)
    assert short.call("it", "it.txt", ["hangs"], 60) == "here\n"
    assert (tmp_path / "out" / "it.txt").read_text() == "here\n"
    assert "it cut at" in (tmp_path / "out" / "report.txt").read_text()


def test_a_part_that_fails_is_told_and_the_rest_goes_on(tmp_path, monkeypatch):
    (tmp_path / "fails.py").write_text("print('1 failed')\nraise SystemExit(3)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told = small_lease(tmp_path)
    assert told.call("the tests", "tests.txt", ["fails"], 60) == "1 failed\n"
    assert (tmp_path / "out" / "tests.txt").read_text() == "1 failed\n"
    assert "the tests ended with 3: 1 failed" in (tmp_path / "out" / "report.txt").read_text()


def test_records_are_brought_home_once_and_whole(tmp_path):
    source = ROOT / "data" / "runs" / "cifar10-vgg16-w0.25-e16-s0.json"
    packed, home = tmp_path / "records.zip", tmp_path / "runs"
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / source.name).write_bytes(source.read_bytes())
    lease.pack(tmp_path / "made", packed)
    assert lease.collect(packed, home) == [f"{source.name}: taken"]
    assert (home / source.name).read_bytes() == source.read_bytes()
    assert lease.collect(packed, home) == [f"{source.name}: there already"]
    (home / source.name).write_text("{}")
    assert lease.collect(packed, home) == [
        f"{source.name}: NOT taken, as another of that name is there"
    ]
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../other.json", source.read_bytes()[:-40])
    with pytest.raises(DamagedFile):
        lease.collect(packed, home)
    assert [path.name for path in home.iterdir()] == [source.name]


def needed(roots: list[str]) -> set[str]:
    """Distributions that some distributions need, themselves included."""
    found, waiting = set(), list(roots)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        waiting += [re.match(r"[\w.-]+", r).group() for r in requirements if "extra ==" not in r]
    return found


def only_what_is_there(folder: Path) -> None:
    """Write a ``sitecustomize`` that hides every package which a lent machine lacks."""
    there = needed(THERE)
    hidden = {
        package
        for package, names in importlib.metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", name).lower() for name in names} & there
    } - {"splinelib", "tools", "tests", "benchmarks"}
    assert {"ipywidgets", "torch_pruning", "nbformat", "papermill", "playwright"} <= hidden
    (folder / "sitecustomize.py").write_text(
        "import importlib.machinery\n"
        f"HIDDEN = {sorted(hidden)!r}\n"
        "find = importlib.machinery.PathFinder.find_spec\n"
        "class Find:  # no function, which would be bound where pytest keeps it\n"
        "    def __call__(self, name, path=None, target=None):\n"
        "        hidden = name.split('.')[0] in HIDDEN\n"
        "        return None if hidden else find(name, path, target)\n"
        "importlib.machinery.PathFinder.find_spec = Find()\n"
    )


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """A lease of a few minutes in which the first record is made; where its files are."""
    folder = tmp_path_factory.mktemp("lease")
    only_what_is_there(folder)
    (folder / "briefly.py").write_text(
        "import sys\n"
        "from tools import lease\n"
        "wanted = lease.wanted\n"
        "lease.wanted = lambda tiny: wanted(tiny)[:1]\n"
        "lease.CURVES = ()\n"
        "lease.main(sys.argv[1:])\n"
    )
    environment = {
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        # not the plugins of packages that are hidden
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_PLUGINS": "pytest_timeout",
    }
    done = subprocess.run(
        [sys.executable, "-m", "briefly", "--tiny", "--minutes", "8", "--out", folder / "out"],
        **{"cwd": ROOT, "env": os.environ | environment},
        **{"capture_output": True, "text": True},
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_it_runs_where_only_torch_and_a_few_packages_are(rehearsed):
    out = rehearsed / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "records.zip",
        "report.txt",
        "speed.txt",
        "tests.txt",
    ]
    assert re.search(r"\d+ skipped", (out / "tests.txt").read_text())  # collected, without a GPU
    assert "error" not in (out / "tests.txt").read_text().lower()
    assert speed.read((out / "speed.txt").read_text())["epochs"]["vgg16"] > 0
    report = (out / "report.txt").read_text()
    assert "is recorded" in report and "failed" not in report


def test_its_record_is_that_of_the_ordinary_environment(rehearsed, tmp_path):
    [path] = (rehearsed / "lease-work").glob("*.json")
    found = read_record(path)
    assert len(found["tickets"]) == 3
    ordinary = experiments.run_tickets(
        Protocol(**found["protocol"]),
        [Ticket.of(entry) for entry in found["tickets"]],
        **{"folder": tmp_path, "progress": False},
    )
    for one, two in zip(
        (found["dense"], *found["tickets"]), (ordinary["dense"], *ordinary["tickets"]), strict=True
    ):
        assert one["test_accuracy"] == two["test_accuracy"]
        assert [row["loss"] for row in one["history"]] == pytest.approx(
            [row["loss"] for row in two["history"]], rel=1e-5
        )
    assert found["early_bird"]["drawn_after"] == ordinary["early_bird"]["drawn_after"]


def test_a_process_that_dies_takes_no_other_with_it(tmp_path, monkeypatch):
    """One unit asks for a criterion that is not there, the next is made."""
    protocol = Protocol(network="mlp", **{k: v for k, v in lease.TINY.items() if k != "width"})
    units = [
        lease.Unit("first", protocol, (Ticket("nobodys", 0.5),)),
        lease.Unit("second", protocol, ()),
    ]
    monkeypatch.setattr(lease, "plan", lambda *_: list(units))
    monkeypatch.setattr(lease.Lease, "call", lambda *_: 'measured {"epochs": {"mlp": 0.1}}')
    small_lease(tmp_path).records()
    report = (tmp_path / "out" / "report.txt").read_text()
    assert re.search(r"first failed: .*nobodys", report) and "second is recorded" in report
    with zipfile.ZipFile(tmp_path / "out" / "records.zip") as archive:
        assert archive.namelist() == ["second.json"]
        assert json.loads(archive.read("second.json"))["tickets"] == []


def test_too_few_minutes_for_a_record_are_said_and_nothing_is_begun(tmp_path, monkeypatch):
    protocol = Protocol(network="vgg16", dataset="digits")
    monkeypatch.setattr(lease, "plan", lambda *_: [lease.Unit("long", protocol, (SPLINE,))])
    monkeypatch.setattr(lease.Lease, "call", lambda *_: 'measured {"epochs": {"vgg16": 2.0}}')
    small_lease(tmp_path, minutes=1).records()
    report = (tmp_path / "out" / "report.txt").read_text()
    assert "long does not fit: 560 s" in report and "begun" not in report
    with zipfile.ZipFile(tmp_path / "out" / "records.zip") as archive:
        assert archive.namelist() == []


def test_a_full_gpu_costs_the_run_that_met_it_and_no_other(tmp_path, monkeypatch):
    """The first process that makes a step finds the memory full."""
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib, torch\n"
        "usual = torch.nn.functional.cross_entropy\n"
        "def full(*args, **options):\n"
        f"    mark = pathlib.Path({str(tmp_path / 'met')!r})\n"
        "    if not mark.exists():\n"
        "        mark.touch()\n"
        "        raise torch.OutOfMemoryError('CUDA out of memory.')\n"
        "    return usual(*args, **options)\n"
        "torch.nn.functional.cross_entropy = full\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    protocol = Protocol(network="mlp", **{k: v for k, v in lease.TINY.items() if k != "width"})
    units = [lease.Unit(name, protocol, ()) for name in ("first", "second")]
    monkeypatch.setattr(lease, "plan", lambda *_: list(units))
    monkeypatch.setattr(lease.Lease, "call", lambda *_: 'measured {"epochs": {"mlp": 0.1}}')
    small_lease(tmp_path).records()
    report = (tmp_path / "out" / "report.txt").read_text()
    assert re.search(r"first failed: .*The GPU ran out of memory in epoch 0", report)
    assert "second is recorded" in report


def test_what_runs_when_the_time_is_up_is_stopped(tmp_path, monkeypatch):
    protocol = Protocol(network="vgg16", dataset="digits", epochs=900)
    monkeypatch.setattr(lease, "plan", lambda *_: [lease.Unit("long", protocol, ())])
    monkeypatch.setattr(lease.Lease, "call", lambda *_: "")
    small_lease(tmp_path, minutes=(lease.ENDING + 4) / 60).records()
    report = (tmp_path / "out" / "report.txt").read_text()
    assert "long is begun" in report and "long is stopped" in report
