"""Everything that is worth doing on a GPU that is there for some minutes only.

    python -m tools.lease --minutes 12 --out DIR
    python -m tools.lease --minutes 12 --out DIR --tiny     a rehearsal on any machine
    python -m tools.lease --collect DIR/records.zip         bring the records into data/runs

In this order, each part within its share of the time: the tests marked `cuda`; how fast a step of
training is, eager and captured, one process and several, beside what the GPU could do at best; then
the records at the scale `paper` that data/runs lacks, most wanted first, and the one-shot curves of
two dense networks. A run is begun only if its
dense network and a ticket fit into what is left, by the seconds that were measured, and is ended in
time. What is finished lies in DIR at once: records.zip, tests.txt, speed.txt and report.txt, few
files, since a lent machine gives few back. Checkpoints stay behind with the machine. Started
again another day, it goes on with what is missing; a ticket that a record lacks gets a record of
its own, with a dense network of its own of the same seed.

CIFAR is read from the folder that SPLINELIB_DATA names, or data/cache. The machine needs what the
library needs (pyproject.toml; torch-pruning and ipywidgets excepted) and pytest.
"""

import argparse
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from splinelib.cost.energy import shared_by_others
from splinelib.data import load
from splinelib.errors import SplineError
from splinelib.experiments import Protocol, Ticket, read_record, record_files, run_tickets, runner
from splinelib.experiments import oneshot as one_shot
from splinelib.experiments.grids import LEASE, PRESETS, Plan, merged
from splinelib.files import replacing
from tools import speed

ROOT = Path(__file__).resolve().parents[1]
TESTS = ["tests/network/test_capturing.py"]
TESTS += ["tests/training", "tests/codes", "tests/cost", "tests/pruning"]
# Seconds for the tests and for measuring speed, at most; seconds in which runs are told to end.
TESTS_TAKE, SPEED_TAKES, ENDING = 40, 60, 5
LOOK = 0.5  # seconds between two looks at what runs
# Dense networks of seed 0 whose one-shot curves are wanted, and seconds in which some of them come.
CURVES, CURVES_TAKE = ("vgg16", "resnet18"), 60
# A small network trains the faster, but not in proportion: half the time is a small network's too.
AT_LEAST = 0.5
TINY = {
    **{"dataset": "digits", "epochs": 3, "width": 0.05, "train_size": 64, "test_size": 32},
    **{"probe": 16, "calibration": 32, "latest_draw": 1, "batch_size": 16},
}


@dataclass(frozen=True)
class Unit:
    """A record to make or to complete: what `run_tickets` takes, and whether curves are drawn."""

    name: str
    protocol: Protocol
    tickets: tuple[Ticket, ...]
    curves: bool = False

    def __str__(self) -> str:
        made = [ticket.name for ticket in self.tickets]
        return ", ".join(made + ["one-shot curves"] * self.curves) or "dense alone"

    def seconds(self, epoch: float, with_dense: bool = True) -> float:
        """What it takes, at so many seconds for an epoch of the dense network."""
        dense = self.protocol.epochs if with_dense else 0
        curves = CURVES_TAKE if self.curves else 0
        return epoch * (dense + sum(map(self.epochs_of, self.tickets))) + curves

    def epochs_of(self, ticket: Ticket) -> float:
        """What training a ticket takes, in epochs of the dense network, and rather more."""
        return self.protocol.epochs * (AT_LEAST + (1 - AT_LEAST) * (1 - ticket.ratio))


def wanted(tiny: bool) -> list[Plan]:
    """Runs with their tickets, in stages of falling worth."""
    stages = [merged([grid]) for grid in (*LEASE, *PRESETS["paper"])]
    if not tiny:
        return stages
    return [
        {replace(protocol, **TINY): tickets for protocol, tickets in stage.items()}
        for stage in stages[:4]
    ]


def missing(stages: Sequence[Plan], records: Sequence[dict]) -> list[Unit]:
    """What no record has, in order.

    Parameters
    ----------
    stages : sequence of Plan
    records : sequence of dict
        Records whose checkpoints are gone. What such a one lacks goes to another of its protocol.
    """
    units: list[Unit] = []
    for stage in stages:
        for protocol, tickets in stage.items():
            own = [r for r in records if Protocol(**r["protocol"]) == protocol]
            begun = [unit for unit in units if unit.protocol == protocol]
            made = {Ticket.of(entry).name for record in own for entry in record["tickets"]}
            made |= {ticket.name for unit in begun for ticket in unit.tickets}
            left = tuple(ticket for ticket in tickets if ticket.name not in made)
            if left or not (own or begun):
                name = protocol.name + (f"-{len(own) + 1}" if own else "")
                units.append(Unit(name, protocol, left))
    return units


def with_curves(
    units: Sequence[Unit], stages: Sequence[Plan], records: Sequence[dict], curved: Collection[str]
) -> list[Unit]:
    """The units, and behind all that is made of a network on its images, its one-shot curves.

    Parameters
    ----------
    units, stages, records
        What is missing, of what, beside what.
    curved : collection of str
        Names of the runs that have curves.
    """
    units = list(units)
    for network in CURVES:
        protocol = next((p for stage in stages for p in stage if p.network == network), None)
        own = [r["name"] for r in records if Protocol(**r["protocol"]) == protocol]
        if protocol is None or set(own) & set(curved):
            continue
        begun = [unit.name for unit in units if unit.protocol == protocol]
        name = begun[0] if begun else protocol.name + (f"-{len(own) + 1}" if own else "")
        on = network, protocol.dataset
        last = [at for at, u in enumerate(units) if (u.protocol.network, u.protocol.dataset) == on]
        units.insert(last[-1] + 1 if last else len(units), Unit(name, protocol, (), curves=True))
    return units


def fitting(unit: Unit, epoch: float, left: float, with_dense: bool) -> Unit | None:
    """As much of a unit as fits into the seconds left, at least one ticket if it has any."""
    for count in range(len(unit.tickets), -1, -1):
        part = replace(unit, tickets=unit.tickets[:count])
        if part.seconds(epoch, with_dense) <= left and (count or not unit.tickets):
            return part
    return None


class Lease:
    """The minutes that there are, and where things go."""

    def __init__(self, minutes: float, out: Path, work: Path, tiny: bool):
        self.end = time.monotonic() + 60 * minutes
        self.out, self.work, self.tiny = out, work, tiny
        # What each process makes, when it began, and how many seconds were foreseen.
        self.running: dict[subprocess.Popen, tuple[Unit, float, float]] = {}
        self.factor = 1.0  # seconds that the last unit took, over those foreseen
        out.mkdir(parents=True, exist_ok=True)
        work.mkdir(parents=True, exist_ok=True)
        (out / "report.txt").write_text("")

    @property
    def left(self) -> float:
        """Seconds until runs have to end."""
        return self.end - time.monotonic() - ENDING

    def say(self, text: str) -> None:
        """Print, and keep in the report."""
        line = f"{time.strftime('%H:%M:%S')}  {max(0, self.left):4.0f} s left  {text}"
        print(line, flush=True)
        with open(self.out / "report.txt", "a") as report:
            report.write(line + "\n")

    def call(self, what: str, file: str, command: list[str], seconds: float) -> str:
        """What a command printed, within a time; it is kept in a file, however it ended."""
        limit = max(1.0, min(seconds * (10 if self.tiny else 1), self.left))
        try:
            done = subprocess.run(
                [sys.executable, "-m", *command],
                **{"cwd": ROOT, "timeout": limit, "text": True},
                **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT},
            )
            text, how = done.stdout, f"ended with {done.returncode}"
        except subprocess.TimeoutExpired as error:
            text, how = (error.stdout or b"").decode(errors="replace"), f"cut at {limit:.0f} s"
        (self.out / file).write_text(text)
        last = text.strip().splitlines()[-1:] or ["nothing printed"]
        self.say(f"{what} {how}: {last[0]}")
        return text

    def records(self) -> None:
        """Make what is missing, several runs at a time, until the time is up."""
        command = ["tools.speed", *(["--tiny"] if self.tiny else [])]
        speeds = speed.read(self.call("speed", "speed.txt", command, SPEED_TAKES))
        units = self.readable(plan(self.tiny, [] if self.tiny else self.recorded()))
        self.say(f"{len(units)} records are wanted; {speeds['at_once']} at a time")
        try:
            while self.left > 0:
                self.begin(units, speeds)
                if not self.running:
                    break
                time.sleep(LOOK)
                self.look()
        finally:
            self.stop()

    def recorded(self) -> list[dict]:
        """The records of the checkout, but for those that lie here with their checkpoints."""
        here = {path.name for path in record_files(self.work)}
        return [read_record(path) for path in record_files() if path.name not in here]

    def readable(self, units: Sequence[Unit]) -> list[Unit]:
        """Those whose images can be read."""
        lacking = set()
        for dataset in dict.fromkeys(unit.protocol.dataset for unit in units):
            if (reason := unreadable(dataset)) is not None:
                lacking.add(dataset)
                self.say(f"what is trained on {dataset} waits: {reason}")
        return [unit for unit in units if unit.protocol.dataset not in lacking]

    def begin(self, units: list[Unit], speeds: dict) -> None:
        """Start the first units that fit, while there is room for one more."""
        epochs = speeds["epochs"]
        for unit in list(units):
            if len(self.running) >= speeds["at_once"]:
                return
            if unit.name in [other.name for other, *_ in self.running.values()]:
                continue  # it adds to the record that is being made
            epoch = epochs.get(unit.protocol.network, max(epochs.values(), default=0.0))
            with_dense = not (self.work / f"{unit.name}.json").exists()
            part = fitting(unit, epoch * self.factor, self.left, with_dense)
            units.remove(unit)
            if part is None:
                seconds = unit.seconds(epoch * self.factor, with_dense)
                self.say(f"{unit.name} does not fit: {seconds:.0f} s")
                continue
            task = [part.name, asdict(part.protocol), [asdict(t) for t in part.tickets]]
            task = json.dumps([*task, part.curves])
            command = [sys.executable, "-m", "tools.lease", "--unit", task]
            command += ["--out", str(self.work)]
            command += ["--shared"] if speeds["at_once"] > 1 else []
            command += ["--eager"] if speeds["eager"].get(unit.protocol.network) else []
            with open(self.work / f"{part.name}.log", "a") as log:
                process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
            foreseen = part.seconds(epoch, with_dense)
            self.running[process] = part, time.monotonic(), foreseen
            self.say(f"{part.name} is begun: {part}; {foreseen * self.factor:.0f} s foreseen")

    def look(self) -> None:
        """Pack what is recorded, and say what has ended, and how."""
        pack(self.work, self.out / "records.zip")
        for process in [p for p in self.running if p.poll() is not None]:
            unit, began, foreseen = self.running.pop(process)
            seconds, how = time.monotonic() - began, "is recorded"
            if process.returncode:
                how = f"failed: {last_line(self.work / f'{unit.name}.log')}"
            elif foreseen and not unit.curves:
                self.factor = seconds / foreseen
            self.say(f"{unit.name} {how}, {seconds:.0f} s")

    def stop(self) -> None:
        """End what still runs; what it has recorded is kept."""
        for process, (unit, *_) in self.running.items():
            process.terminate()
            self.say(f"{unit.name} is stopped")
        for process in self.running:
            try:
                process.wait(ENDING)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()
        pack(self.work, self.out / "records.zip")


def last_line(path: Path) -> str:
    """The last thing that a log says."""
    return (path.read_text(errors="replace").strip().splitlines() or ["nothing printed"])[-1]


def pack(folder: Path, target: Path) -> None:
    """Put the records of a folder into one archive, whole or not at all."""
    found = {path.name: path.read_bytes() for path in record_files(folder)}
    for path in one_shot.record_files(folder):
        found[f"{one_shot.FOLDER}/{path.name}"] = path.read_bytes()
    if target.exists():
        with zipfile.ZipFile(target) as archive:
            if {name: archive.read(name) for name in archive.namelist()} == found:
                return
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in found.items():
            z.writestr(name, content)


def collect(archive: Path, folder: Path) -> list[str]:
    """Bring the records of an archive into a folder, and say what became of each.

    Raises
    ------
    SplineError, zipfile.BadZipFile, OSError
        A record is damaged, or the archive cannot be read.
    """
    told = []
    with zipfile.ZipFile(archive) as packed:
        for name in sorted(packed.namelist()):
            drawn = Path(name).parent.name == one_shot.FOLDER
            place = folder / one_shot.FOLDER if drawn else folder
            target, content = place / Path(name).name, packed.read(name)
            if target.exists():
                same = target.read_bytes() == content
                other = "NOT taken, as another of that name is there"
                told.append(f"{target.name}: {'there already' if same else other}")
                continue
            with replacing(target) as temporary:
                temporary.write_bytes(content)
            try:
                (one_shot.read if drawn else read_record)(target)
            except SplineError:
                target.unlink()
                raise
            told.append(f"{target.name}: taken")
    return told


def make(task: str, folder: Path, shared: bool, eager: bool) -> None:
    """One unit, in a process of its own."""
    runner.CAPTURE = not eager
    if shared:
        shared_by_others()
    name, protocol, tickets, curves = json.loads(task)
    run_tickets(
        Protocol(**protocol),
        [Ticket(**ticket) for ticket in tickets],
        **{"name": name, "folder": folder, "progress": False},
    )
    if curves:
        one_shot.curves(name, folder=folder, progress=False)


def plan(tiny: bool, records: Sequence[dict]) -> list[Unit]:
    """What there is to do, beside records whose checkpoints are gone."""
    stages = wanted(tiny)
    curved = {path.stem for path in one_shot.record_files()}
    return with_curves(missing(stages, records), stages, records, curved)


def plan_in_words(tiny: bool) -> str:
    """What there is to do."""
    units = plan(tiny, [read_record(path) for path in record_files()])
    lines = [f"{len(units)} records are missing:"]
    lines += [f"  {unit.name}: {unit}" for unit in units]
    return "\n".join(lines)


def unreadable(dataset: str) -> str | None:
    """Why the images of a dataset cannot be read, if that is so."""
    try:
        load(dataset)
    except (SplineError, OSError) as error:
        return f"The images cannot be read. {error}"
    return None


def ready(tiny: bool) -> str | None:
    """Why nothing can be done here, if that is so."""
    if not tiny and not torch.cuda.is_available():
        return f"There is no GPU here that PyTorch can use. {plan_in_words(tiny)}"
    return unreadable("digits" if tiny else "cifar10")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path, help="checkpoints and logs; default: DIR/../work")
    parser.add_argument("--tiny", action="store_true", help="digits, small networks, on a CPU too")
    parser.add_argument("--collect", type=Path, metavar="FILE")
    parser.add_argument("--unit", help=argparse.SUPPRESS)
    parser.add_argument("--eager", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--shared", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.collect is not None:
        print("\n".join(collect(options.collect, ROOT / "data" / "runs")))
        return
    if options.out is None or options.minutes <= 0:
        parser.error("say where the results go, and how many minutes there are: --out, --minutes")
    if options.unit is not None:
        make(options.unit, options.out, options.shared, options.eager)
        return
    if (reason := ready(options.tiny)) is not None:
        sys.exit(reason)
    work = options.work or options.out.resolve().parent / "lease-work"
    lease = Lease(options.minutes, options.out, work, options.tiny)
    tests = ["pytest", "-m", "cuda", "-q", "-p", "no:cacheprovider", *TESTS]
    lease.call("the tests on the GPU", "tests.txt", tests, TESTS_TAKE)
    lease.records()
    lease.say("done")


if __name__ == "__main__":
    main()
