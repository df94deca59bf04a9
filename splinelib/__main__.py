"""The command line: ``python -m splinelib run``, ``oneshot`` and ``runs``."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields

from . import oneshot, parallel
from .errors import SplineError
from .experiments import Protocol, read_record, record_files, run, summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0: done. 1: a record is damaged. 2: something is wrong with the request, said on standard
    error. 130: interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        with parallel.launched():
            return options.action(options)
    except KeyboardInterrupt:
        _say("\nInterrupted. The same command goes on from the last epoch that was finished.")
        return 130
    except (SplineError, ValueError, OSError) as error:
        _say(f"error: {error}")
        return 2


def _say(text: str) -> None:
    """On standard error; under torchrun, which process says it."""
    rank = int(os.environ.get("RANK", "0"))
    print(f"process {rank}: {text}" if rank else text, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m splinelib",
        description="Train, prune and record by the paper's protocol.",
    )
    actions = parser.add_subparsers(required=True, metavar="action")
    _add_run(actions)
    _add_oneshot(actions)
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
            help=option.metadata["help"],
        )
    parser.add_argument(
        "--criteria",
        nargs="*",
        default=["spline"],
        metavar="CRITERION",
        help="criteria to draw tickets by; behind one, @layerwise or @residual for another share "
        "per layer, then +fold or +refit to compensate",
    )
    parser.add_argument(
        "--ratios",
        nargs="*",
        type=float,
        default=[0.3, 0.5, 0.7],
        metavar="RATIO",
        help="shares of units to remove",
    )
    parser.add_argument("--name", help="name of the record; made from the settings if not given")
    parser.add_argument("--folder", help="folder of the records; data/runs if not given")
    parser.set_defaults(action=_run)


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
        help="criteria, with @layerwise or @residual and +fold or +refit as for `run`; if not "
        f"given, every criterion with each of {', '.join(oneshot.VARIANTS)}",
    )
    parser.add_argument(
        "--ratios",
        nargs="*",
        type=float,
        default=list(oneshot.RATIOS),
        metavar="RATIO",
        help="shares of units to remove",
    )
    parser.add_argument("--folder", help="folder of the records; data/runs if not given")
    parser.set_defaults(action=_oneshot)


def _add_runs(actions) -> None:
    parser = actions.add_parser("runs", help="list the records and check them")
    parser.add_argument("--folder", help="folder of the records; data/runs if not given")
    parser.set_defaults(action=_runs)


def _run(options: argparse.Namespace) -> int:
    protocol = Protocol(**{field.name: getattr(options, field.name) for field in fields(Protocol)})
    record = run(
        protocol, options.criteria, options.ratios, name=options.name, folder=options.folder
    )
    if parallel.rank() == 0:
        print(summary(record))
    return 0


def _oneshot(options: argparse.Namespace) -> int:
    record = oneshot.curves(options.run, options.methods, options.ratios, folder=options.folder)
    print(oneshot.summary(record))
    return 0


def _runs(options: argparse.Namespace) -> int:
    kinds = [
        (path, read, shown)
        for paths, read, shown in (
            (record_files(options.folder), read_record, summary),
            (oneshot.record_files(options.folder), oneshot.read, oneshot.summary),
        )
        for path in paths
    ]
    damaged = 0
    for path, read, shown in kinds:
        try:
            print(shown(read(path)))
        except SplineError as error:
            _say(f"error: {error}")
            damaged += 1
    print(f"{len(kinds)} records, {damaged} damaged")
    return 1 if damaged else 0


if __name__ == "__main__":
    sys.exit(main())
