"""The command line: ``python -m splinelib run``, ``sweep``, ``oneshot``, ``slice`` and ``runs``."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TextIO

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:

    def leave(*_) -> None:
        """End at once: while modules are loading nothing has been begun."""
        os.write(2, b"\nInterrupted.\n")
        os._exit(130)

    # PyTorch loads for seconds, and what interrupts it is not always let through.
    signal.signal(signal.SIGINT, leave)

from . import parallel
from .data.pictures import load_pictures, normalised
from .errors import SplineError
from .experiments import oneshot, sweeps
from .experiments.given import given_network
from .experiments.protocol import Protocol
from .experiments.reports import compare, summary
from .experiments.run_records import read_record, record_files
from .experiments.runner import run
from .experiments.studies import STUDIES, Study
from .pruning.compensation import METHODS
from .scores.criteria import CRITERIA
from .text import printable

METHODS_HELP = ", ".join(f"+{method}" for method in METHODS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0: done. 1: a record is damaged, or a run of a sweep failed. 2: something is wrong with the
    request, said on standard error. 3: another process is recording a run of a sweep, and none
    failed. 130: interrupted. 141: nobody reads what is printed.
    """
    options = _parser().parse_args(arguments)
    try:
        with parallel.launched():
            status = options.action(options)
            sys.stdout.flush()
            return status
    except BrokenPipeError:  # as of ``runs | head``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # takes what is left
        return 141
    except KeyboardInterrupt:
        _say("\nInterrupted. The same command goes on from the last epoch that was finished.")
        return 130
    except (SplineError, ValueError, OSError) as error:
        _say(f"error: {error}")
        return 2
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not _is_for_memory(error):
            raise
        if isinstance(error, MemoryError) and f"{error}":  # which says for what
            _say(f"error: {error}")
            return 2
        _say(
            "error: This takes more memory than there is. Ask for a smaller width, batch_size or "
            "image_size."
        )
        return 2


def _is_for_memory(error: RuntimeError) -> bool:
    """Whether PyTorch says that memory is lacking, for which it has no type of its own."""
    return any(word in f"{error}" for word in ("allocate memory", "out of memory", "bad_alloc"))


def _say(text: str) -> None:
    """On standard error; under torchrun, which process says it."""
    rank = int(os.environ.get("RANK", "0"))
    _show(f"process {rank}: {text}" if rank else text, sys.stderr)


def _show(text: str, where: TextIO | None = None) -> None:
    """Print text that may hold what a record or a file says of itself: no terminal is steered."""
    print("\n".join(map(printable, text.split("\n"))), file=where)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m splinelib",
        description="Train, prune and record by the paper's protocol.",
    )
    actions = parser.add_subparsers(required=True, metavar="action")
    _add_run(actions)
    _add_sweep(actions)
    _add_oneshot(actions)
    for study in STUDIES:
        _add_study(actions, study)
    _add_slice(actions)
    _add_runs(actions)
    return parser


def _add_run(actions) -> None:
    parser = actions.add_parser(
        "run",
        help="train dense, draw tickets at the early bird, train them, record it all",
        description="Train dense, draw tickets at the early bird, train them, record it all. "
        "What is recorded already is not run again; an interrupted run goes on where it stopped.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for option in fields(Protocol):
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=int if option.default is None else type(option.default),
            default=option.default,
            help=f"{option.metadata['help']}; source: {option.metadata['source']}",
        )
    _add_tickets(parser, ["spline"], [0.3, 0.5, 0.7])
    parser.add_argument("--name", help="name of the record; made from the settings if not given")
    _add_folder(parser)
    parser.set_defaults(action=_run)


def _add_tickets(parser: argparse.ArgumentParser, criteria, ratios) -> None:
    parser.add_argument(
        "--criteria",
        nargs="*",
        default=criteria,
        metavar="CRITERION",
        help=f"criteria to draw tickets by ({', '.join(CRITERIA)}); behind one, @layerwise or "
        f"@residual for another share per layer, then one of {METHODS_HELP} to compensate; "
        "masks: before one to draw when its own masks have settled, lottery: to draw at the end "
        "and train from initial weights",
    )
    parser.add_argument(
        "--ratios",
        nargs="*",
        type=float,
        default=ratios,
        metavar="RATIO",
        help="shares of units to remove",
    )


def _folder(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it names no folder")
    return text


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", type=_folder, help="folder of the records; data/runs if not given"
    )


def _add_sweep(actions) -> None:
    parser = actions.add_parser(
        "sweep",
        help="make every combination of some settings, several runs at a time",
        description="Make a run for every combination of the values given, several at a time, "
        "each with every criterion at every ratio. What is recorded already is not run again; a "
        "run that fails stops no other; an interrupted sweep goes on where it stopped.",
    )
    parser.add_argument(
        "--preset",
        choices=sorted(sweeps.PRESETS),
        help="the sweeps that the book records: cpu, rules and schedule, hours on two cores each; "
        "paper, for a GPU. What is given besides takes the place of the preset's values",
    )
    for option in fields(Protocol):
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            nargs="+",
            type=int if option.default is None else type(option.default),
            help=f"{option.metadata['help']} (default: {option.default})",
        )
    _add_tickets(parser, None, None)
    parser.add_argument("--jobs", type=int, help="runs at a time, -1 for one per core (default: 1)")
    parser.add_argument(
        "--threads", type=int, help="CPU threads of each run (default: those there are / jobs)"
    )
    _add_folder(parser)
    parser.set_defaults(action=_sweep)


def _add_oneshot(actions) -> None:
    parser = actions.add_parser(
        "oneshot",
        help="accuracy of a recorded run's dense network after pruning, with no retraining",
        description="Prune the dense network of a recorded run at each ratio by each method and "
        "test what is left, with no retraining. What is recorded already is not done again.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("run", help="name of the run, as `runs` lists it")
    parser.add_argument(
        "--methods",
        nargs="*",
        metavar="METHOD",
        help=f"criteria, with @layerwise or @residual and one of {METHODS_HELP} as for `run`; "
        f"if not given, every criterion with each of {', '.join(oneshot.VARIANTS)}",
    )
    parser.add_argument(
        "--ratios",
        nargs="*",
        type=float,
        default=list(oneshot.RATIOS),
        metavar="RATIO",
        help="shares of units to remove",
    )
    _add_folder(parser)
    parser.set_defaults(action=_oneshot)


def _add_study(actions, study: Study) -> None:
    parser = actions.add_parser(
        study.name,
        help=study.help,
        description=f"{study.description} What is recorded already is not done again.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    study.add_arguments(parser)
    _add_folder(parser)
    parser.set_defaults(action=partial(_study, study))


def _add_slice(actions) -> None:
    parser = actions.add_parser(
        "slice",
        help="a page with exact slices through a network, on planes of three images each",
        description="Make one page with the exact partition of planes through three images each, "
        "the decision boundary, and what lies on the ways between them.",
    )
    parser.add_argument(
        "network",
        help="MODULE:FUNCTION that makes it without arguments, such as "
        "torchvision.models:resnet18, or a .json file of the playground",
    )
    parser.add_argument("images", help="a folder of images, or an .npy file whose rows are inputs")
    parser.add_argument("--out", type=_folder, required=True, help="folder for index.html")
    parser.add_argument(
        "--weights", help="a checkpoint, a pruned network or a state_dict; random if not given"
    )
    parser.add_argument("--image-size", type=int, help="pixels of a side, for a folder of images")
    parser.add_argument("--grey", action="store_true", help="one channel in place of three")
    for option, default in (("mean", 0.0), ("std", 1.0)):
        parser.add_argument(
            f"--{option}",
            type=float,
            nargs="+",
            default=[default],
            help=f"{option} of each channel, for images in 0 .. 1 (default: {default:g})",
        )
    parser.add_argument("--slices", type=int, default=3, help="planes at most (default: 3)")
    parser.add_argument(
        "--max-regions", type=int, default=250_000, help="of a plane (default: 250000)"
    )
    parser.set_defaults(action=_slice)


def _add_runs(actions) -> None:
    parser = actions.add_parser(
        "runs",
        help="list the records and check them, or compare some",
        description="List all records and check each against its schema; or put those that are "
        "named side by side: where they differ, and what came out over their seeds.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="records to compare; * stands for anything, as in 'cifar10-vgg16-*'",
    )
    _add_folder(parser)
    parser.set_defaults(action=_runs)


def _run(options: argparse.Namespace) -> int:
    protocol = Protocol(**{field.name: getattr(options, field.name) for field in fields(Protocol)})
    record = run(
        protocol, options.criteria, options.ratios, name=options.name, folder=options.folder
    )
    if parallel.rank() == 0:
        _show(summary(record))
    return 0


def _sweep(options: argparse.Namespace) -> int:
    given = {field.name: getattr(options, field.name) for field in fields(Protocol)}
    given = {name: values for name, values in given.items() if values is not None}
    grids = [sweeps.Grid({}, ["spline"], [0.3, 0.5, 0.7])]
    if options.preset:
        grids = sweeps.PRESETS[options.preset]
    plan = sweeps.merged(grids, given, options.criteria, options.ratios)
    outcomes = sweeps.sweep(plan, jobs=options.jobs, threads=options.threads, folder=options.folder)
    if parallel.rank() == 0:
        _show(sweeps.summary(outcomes))
    states = {outcome.state for outcome in outcomes}
    return 1 if "failed" in states else 3 if "elsewhere" in states else 0


def _oneshot(options: argparse.Namespace) -> int:
    record = oneshot.curves(options.run, options.methods, options.ratios, folder=options.folder)
    _show(oneshot.summary(record))
    return 0


def _study(study: Study, options: argparse.Namespace) -> int:
    _show(study.records.summary(study.make(options)))
    return 0


def _slice(options: argparse.Namespace) -> int:
    from .exhibits.galleries import save_gallery  # loads matplotlib

    images, names = load_pictures(options.images, options.image_size, options.grey)
    model = given_network(options.network, options.weights)
    page = Path(options.out) / "index.html"
    normalise = partial(normalised, mean=options.mean, std=options.std)
    found = save_gallery(page, model, images, names, options.slices, options.max_regions, normalise)
    counts = ", ".join(f"{len(one.part):,}" for one in found)
    _show(f"{page}: {len(found)} slices of {counts} regions")
    return 0


def _runs(options: argparse.Namespace) -> int:
    files = record_files(options.folder)
    if not options.names and options.folder is not None and not Path(options.folder).is_dir():
        raise FileNotFoundError(f"There is no folder {options.folder}.")
    if options.names:
        records, damaged = _read(_named(options.names, files), read_record)
        if records:
            _show(compare(records))
        return 1 if damaged else 0
    count = total = 0
    kinds = [(files, read_record, summary)]
    for kind in (oneshot, *(study.records for study in STUDIES)):
        kinds.append((kind.record_files(options.folder), kind.read, kind.summary))
    for paths, read, shown in kinds:
        records, damaged = _read(paths, read)
        for record in records:
            _show(shown(record))
        count, total = count + damaged, total + len(paths)
    print(f"{total} records, {count} damaged")
    return 1 if count else 0


def _read(paths: Sequence[Path], read: Callable[[Path], dict]) -> tuple[list[dict], int]:
    """Records that can be read, and how many cannot, each of which is said."""
    records = []
    for path in paths:
        try:
            records.append(read(path))
        except (SplineError, OSError) as error:
            _say(f"error: {error}")
    return records, len(paths) - len(records)


def _named(names: Sequence[str], files: Sequence[Path]) -> list[Path]:
    """Records whose names are given or match a pattern, in the order of `names`."""
    paths = {path.stem: path for path in files}
    found: dict[str, Path] = {}
    for pattern in names:
        matching = [stem for stem in paths if fnmatch(stem, pattern)]
        if not matching:
            known = ", ".join(paths) or "none yet"
            raise ValueError(f"There is no recorded run {pattern!r}. Recorded: {known}.")
        found |= {stem: paths[stem] for stem in matching}
    return list(found.values())


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # names that the terminal has no signs for
    sys.exit(main())
