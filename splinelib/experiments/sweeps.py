"""Many runs: every combination of some settings, several at a time, each recorded by itself.

The runs go to processes of this machine (`workers`), or through joblib to a backend of the user's
choice, such as Ray or Dask inside ``with joblib.parallel_config(backend=...)``. Every run writes
its own record, so a sweep that was stopped goes on where it was, and one run that fails stops no
other.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import joblib
import torch
from tqdm.auto import tqdm

from .. import parallel
from ..cost.energy import shared_by_others
from ..progress import bar
from ..scores.criteria import CRITERIA
from . import workers
from .grids import PRESETS as PRESETS
from .grids import Grid as Grid
from .grids import Plan as Plan
from .grids import merged as merged
from .protocol import Protocol, Ticket, check_criteria
from .reports import compare
from .run_records import read_record
from .runner import run_tickets
from .store import RunLocked, folders

# Seconds between two looks at how many networks are recorded.
_LOOK = 2.0
# No machine has as many cores; far more are more than the system starts, and it ends the process.
_MOST_THREADS = 1024


@dataclass(frozen=True)
class Outcome:
    """What became of one run of a sweep.

    Attributes
    ----------
    name : str
        Of the record.
    state : str
        ``"recorded"`` before, ``"made"`` now, being recorded ``"elsewhere"`` by another process,
        or ``"failed"``.
    seconds : float
        Time that it took now.
    error : str or None
        What went wrong, or who is at it.
    record : dict or None
        The record, of runs that are recorded or made.
    """

    name: str
    state: str
    seconds: float
    error: str | None = None
    record: dict | None = field(default=None, repr=False)


def sweep(
    plan: Mapping[Protocol, Sequence[Ticket]],
    *,
    jobs: int | None = None,
    threads: int | None = None,
    folder: str | os.PathLike | None = None,
    root: str | os.PathLike | None = None,
    progress: bool = True,
) -> list[Outcome]:
    """Make every run of a plan that is not recorded yet, several at a time.

    Several jobs are processes of this machine, which end when this one does; a run whose process
    is killed fails alone. Inside ``joblib.parallel_config(backend=...)`` the runs go through that
    backend, such as Ray's or Dask's; its workers need the folders of records, checkpoints and
    datasets, at the same paths. Where several runs share a machine with several GPUs, they are
    dealt out over them.

    Parameters
    ----------
    plan : mapping of Protocol to sequence of Ticket
        As `Grid.plan` and `merged` give it.
    jobs : int, optional
        Runs at a time; -1 for one per core. Default: what `joblib.parallel_config` says, or 1.
    threads : int, optional
        CPU threads of each run, 1 to 1024. Default: those that PyTorch uses here, divided by
        `jobs`, so that together the runs ask for no more cores than one does.
    folder, root
        As for `experiments.run`.
    progress : bool
        Whether to show a bar of the networks recorded so far.

    Returns
    -------
    list of Outcome
        In the order of the plan. A run that failed says why; the others are made all the same.

    Raises
    ------
    ValueError
        `jobs` or `threads` is out of range, the joblib backend runs tasks as threads of one
        process, or this is one process of several that `torchrun` started and more than one job is
        asked for.

    Examples
    --------
    >>> import tempfile
    >>> settings = {"network": ["mlp"], "epochs": [2], "train_size": [64], "seed": [0, 1]}
    >>> grid = Grid(settings, ["magnitude"], [0.5])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [outcome.state for outcome in sweep(grid.plan(), folder=folder, progress=False)]
    ['made', 'made']
    """
    _check_numbers(jobs, threads)
    at_once = joblib.effective_n_jobs(jobs)
    if at_once > 1:
        _check_backend(jobs)
        threads = threads or max(1, torch.get_num_threads() // at_once)
    # Criteria that the user added are not in the workers' own table.
    for tickets in plan.values():
        check_criteria(tickets)
    named = {ticket.criterion for tickets in plan.values() for ticket in tickets}
    criteria = {name: CRITERIA[name] for name in named}
    options = {"folder": folder, "root": root, "progress": progress and at_once == 1}
    tasks = [
        joblib.delayed(_one)(number, protocol, list(tickets), criteria, options, threads, at_once)
        for number, (protocol, tickets) in enumerate(plan.items())
    ]
    with _bar(plan, folder, progress and parallel.rank() == 0):
        outcomes = {outcome.name: outcome for outcome in _outcomes(plan, tasks, jobs, at_once)}
    return [outcomes[protocol.name] for protocol in plan]


def summary(outcomes: Sequence[Outcome]) -> str:
    """What a sweep came to: the networks over seeds, then the runs, and what went wrong."""
    lines = []
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    if records:
        lines += [compare(records), ""]
    states = [outcome.state for outcome in outcomes]
    lines.append(
        f"{len(outcomes)} runs: {states.count('made')} made in "
        f"{sum(outcome.seconds for outcome in outcomes) / 60:.1f} minutes of all workers, "
        f"{states.count('recorded')} recorded before, {states.count('failed')} failed, "
        f"{states.count('elsewhere')} being recorded elsewhere"
    )
    lines += [f"{o.state}: {o.name}: {o.error}" for o in outcomes if o.error is not None]
    return "\n".join(lines)


def _one(
    number: int,
    protocol: Protocol,
    tickets: list[Ticket],
    criteria: Mapping[str, Callable],
    options: dict,
    threads: int | None,
    at_once: int,
) -> Outcome:
    """One run, in a worker. Nothing that goes wrong in it reaches the others."""
    began = time.perf_counter()
    for name, function in criteria.items():
        CRITERIA.setdefault(name, function)
    if threads:
        torch.set_num_threads(threads)
    if at_once > 1 and torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
        if at_once > torch.cuda.device_count():
            shared_by_others()
    path = folders(options["folder"])[0] / f"{protocol.name}.json"
    before = _recorded(path, tickets)
    try:
        record = run_tickets(protocol, tickets, **options)
    except RunLocked as error:
        return Outcome(protocol.name, "elsewhere", time.perf_counter() - began, str(error))
    except Exception as error:
        if parallel.processes() > 1:
            raise  # the other processes of this run may not have failed, and wait
        spent = time.perf_counter() - began
        return Outcome(protocol.name, "failed", spent, f"{type(error).__name__}: {error}")
    state = "recorded" if before == 1 + len(tickets) else "made"
    return Outcome(protocol.name, state, time.perf_counter() - began, record=record)


def _outcomes(
    plan: Mapping[Protocol, Sequence[Ticket]],
    tasks: Sequence[workers.Task],
    jobs: int | None,
    at_once: int,
) -> Iterator[Outcome]:
    """What becomes of the tasks of a plan, as they end where the backend can tell."""
    ours = joblib.parallel.BACKENDS["loky"]
    if at_once == 1 or not isinstance(joblib.Parallel(jobs)._backend, ours):
        yield from _pool(jobs)(tasks)
        return
    names = [protocol.name for protocol in plan]
    for number, result in workers.results(tasks, at_once):
        if not isinstance(result, Outcome):
            told = " ".join(str(result).split())
            why = f"its process was killed, most often for want of memory ({told})"
            result = Outcome(names[number], "failed", 0.0, why)
        yield result


def _pool(jobs: int | None) -> joblib.Parallel:
    """Results as they come where the backend can, all at the end where it cannot."""
    try:
        return joblib.Parallel(jobs, return_as="generator_unordered", batch_size=1)
    except ValueError:
        return joblib.Parallel(jobs, batch_size=1)


def _check_numbers(jobs: int | None, threads: int | None) -> None:
    if jobs == 0:
        raise ValueError("jobs is a number of runs at a time, or -1 for one per core, not 0.")
    if threads is not None and not 1 <= threads <= _MOST_THREADS:
        raise ValueError(f"threads is a number in 1 .. {_MOST_THREADS}, not {threads}.")


def _check_backend(jobs: int | None) -> None:
    if parallel.processes() > 1:
        raise ValueError(
            "torchrun spreads one run over its processes, and jobs makes several runs at a time: "
            "choose one. Under torchrun leave out --jobs."
        )
    if getattr(joblib.Parallel(jobs)._backend, "uses_threads", False):
        raise ValueError(
            "Runs cannot share a process: each seeds PyTorch's random generators. Choose a joblib "
            "backend of processes, such as loky, instead of threads."
        )


def _recorded(path: Path, tickets: Sequence[Ticket]) -> int:
    """How many networks of a run are recorded: the dense one, and so many of its tickets."""
    try:
        made = {Ticket.of(entry).name for entry in read_record(path)["tickets"]}
        return 1 + len(made & {ticket.name for ticket in tickets})
    except (OSError, ValueError):
        return 0  # not there, or damaged, which the run itself will say


@contextmanager
def _bar(plan: Mapping[Protocol, Sequence[Ticket]], folder, progress: bool) -> Iterator[None]:
    """A bar of the networks recorded so far, read off the records.

    The records are the one thing that workers of every backend have in common with us.
    """
    paths = {folders(folder)[0] / f"{p.name}.json": tickets for p, tickets in plan.items()}
    if not progress:
        yield
        return
    seen: dict[Path, tuple[float, int]] = {}
    done = threading.Event()

    def look(shown: tqdm) -> None:
        for path, tickets in paths.items():
            changed = path.stat().st_mtime if path.exists() else 0.0
            if seen.get(path, (0.0, 0))[0] != changed:
                seen[path] = changed, _recorded(path, tickets)
        shown.update(sum(count for _, count in seen.values()) - shown.n)

    def keep_looking(shown: tqdm) -> None:
        while not done.wait(_LOOK):
            look(shown)

    total = sum(1 + len(tickets) for tickets in plan.values())
    with bar(total=total, desc=f"{len(plan)} runs", unit="network") as shown:
        look(shown)
        looker = threading.Thread(target=keep_looking, args=(shown,), daemon=True)
        looker.start()
        try:
            yield
        finally:
            done.set()
            looker.join()
            look(shown)
