"""Overparametrise and prune, or start well? Ways to one small network, compared at equal cost.

A *block* is a depth, a final width and a family of data sets; what is found for each way, budget
and factor is an entry of one record, which grows block by block.
"""

import os
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..data import load, toy
from ..progress import bar
from ..randomness import generator_of
from ..text import check_choice
from . import start_ways as ways
from .protocol import check_name
from .start_records import WIDE, opened, path_of, write
from .store import locked

TOYS = ("cross", "spiral", "moons")
DATA = (*TOYS, "digits")
DEPTHS, WIDTHS, FACTORS, SEEDS = (1, 2, 3), (4, 8), (2, 4, 8, 16), 10
# Training points, noise, steps and rates of the problems in the plane.
POINTS, NOISE, TOY_STEPS, TOY_RATES = 256, 0.1, 320, (0.1, 0.3, 1.0)
# Training images, steps (16 epochs) and rates of digits.
IMAGES, DIGITS_STEPS, DIGITS_RATES = 1152, 288, (0.01, 0.03, 0.1)


def problem(names: Sequence[str], seeds: int = SEEDS, steps: int | None = None) -> ways.Problem:
    """The inputs of some data sets, all in the plane or digits alone, for each seed.

    Parameters
    ----------
    names : sequence of str
        Some of `DATA`.
    seeds : int
    steps : int, optional
        Training steps at equal epochs; `TOY_STEPS` or `DIGITS_STEPS` if not given.
    """
    usual, rates = TOY_STEPS, TOY_RATES
    if list(names) == ["digits"]:
        usual, rates = DIGITS_STEPS, DIGITS_RATES
        made = [_digits(seed) for seed in range(seeds)]
    else:
        for name in names:
            check_choice("problem in the plane", name, TOYS)
        made = [_plane(name, seed) for name in names for seed in range(seeds)]
    stacked = [
        tuple(torch.stack(values) for values in zip(*part, strict=True))
        for part in zip(*made, strict=True)
    ]
    return ways.Problem(tuple(names), seeds, *stacked, steps=steps or usual, rates=rates)


def _plane(name: str, seed: int) -> list[tuple[Tensor, Tensor]]:
    sizes = POINTS, POINTS, 8 * POINTS
    return [toy(name, size, NOISE, 3 * seed + part) for part, size in enumerate(sizes)]


def _digits(seed: int) -> list[tuple[Tensor, Tensor]]:
    digits = load("digits")
    order = torch.randperm(len(digits.train_images), generator=generator_of(seed))
    images = digits.to_float(digits.train_images).flatten(1)[order]
    labels = digits.train_labels[order]
    test = digits.to_float(digits.test_images).flatten(1), digits.test_labels
    return [(images[:IMAGES], labels[:IMAGES]), (images[IMAGES:], labels[IMAGES:]), test]


def compare(
    data: Sequence[str] = DATA,
    depths: Sequence[int] = DEPTHS,
    widths: Sequence[int] = WIDTHS,
    factors: Sequence[int] = FACTORS,
    *,
    seeds: int = SEEDS,
    steps: int | None = None,
    name: str = "map",
    folder: str | os.PathLike | None = None,
    progress: bool = True,
) -> dict:
    """Reach networks of every final size in every way, and record what they are worth.

    What is recorded already is not done again, so a second call with more depths adds them, and an
    interrupted one goes on after the last block that was finished. Learning rates are chosen on a
    validation part; test accuracies are of what was chosen.

    Parameters
    ----------
    data : sequence of str
        Some of ``"cross"``, ``"spiral"``, ``"moons"`` and ``"digits"``.
    depths, widths : sequence of int
        Hidden layers, and the units of each, of the final network.
    factors : sequence of int
        How many times as wide the network is that is pruned, each at least 2.
    seeds : int
        Networks, and draws of the data, in every condition.
    steps : int, optional
        Training steps at equal epochs; `TOY_STEPS` or `DIGITS_STEPS` if not given.
    name : str
        Of the record.
    folder, progress
        As for `run`.

    Returns
    -------
    dict
        The record, as written to ``starts/NAME.json``.

    Raises
    ------
    ValueError
        Something is out of range, or the record was made with other seeds or steps.
    DamagedFile
        The record cannot be read.
    RunLocked
        Another process is writing the record.
    """
    _check(data, depths, widths, factors, seeds, steps)
    check_name("record", name)
    path = path_of(name, folder)
    settings = {
        "seeds": seeds,
        "toy_steps": steps or TOY_STEPS,
        "digits_steps": steps or DIGITS_STEPS,
    }
    planes = [one for one in TOYS if one in data]
    families = [family for family in (planes, ["digits"] if "digits" in data else []) if family]
    todo = [(family, depth, width) for depth in depths for width in widths for family in families]
    with locked(path.parent, name):
        record = opened(path, name, settings, entries=[])
        with bar(total=len(todo), desc=name, unit="block", disable=not progress) as shown:
            for family, depth, width in todo:
                shown.set_postfix_str(f"{'+'.join(family)}, depth {depth}, width {width}")
                for names, missing in _missing(record, family, depth, width, factors):
                    began = time.perf_counter()
                    known = _known(record, names, depth, width)
                    given = problem(names, seeds, steps)
                    record["entries"] += entries(given, depth, width, missing, known)
                    record["seconds"] += time.perf_counter() - began
                    write(path, record, _words(record))
                shown.update()
    return record


def entries(
    given: ways.Problem,
    depth: int,
    width: int,
    factors: Sequence[int],
    smalls: dict | None = None,
) -> Iterator[dict]:
    """Every way to a network of one depth and width, for each data set of a problem.

    Parameters
    ----------
    given : Problem
    depth, width : int
    factors : sequence of int
    smalls : dict, optional
        Entries of small networks at equal epochs that are known already, which are not given
        again, by (data, way).
    """
    small = given.widths(depth, width)
    rates = ways.every_rate(given)
    starts = {way: ways.drawn(given, small) for way in ways.STARTS}
    starts["spread"] = ways.spread(given, small)
    starts[ways.THROUGH] = ways.spread(given, small, by_angle=False)
    best = {}  # (data, way) -> rate
    for way, start in starts.items():
        known = {name: (smalls or {}).get((name, way)) for name in given.names}
        reached = None
        if not all(known.values()):
            many = ways.repeated(given, start)
            reached = ways.from_start(given, way, many, rates)
        for name in given.names:
            about = {"data": name, "depth": depth, "width": width, "factor": 1}
            entry = known[name]
            if entry is None:
                entry = about | {"way": way, "budget": "epochs", "restarts": 1}
                entry |= ways.chosen(given, reached, name)
                yield entry
            best[name, way] = entry["rate"]
    for factor in sorted(factors):
        yield from _with_factor(given, depth, width, factor, starts, best)


def _with_factor(given, depth, width, factor, starts, best) -> Iterator[dict]:
    """What depends on how wide the pruned network was: it, what is cut out, its cost spent else."""
    about = {"depth": depth, "width": width, "factor": factor, "restarts": 1}
    rates = ways.every_rate(given)
    untrained = ways.drawn(given, given.widths(depth, width * factor))
    half = given.steps // 2
    many = ways.repeated(given, untrained)
    flops = half * ways.step_flops(untrained)
    wide = ways.Reached(many, ways.fit(given, many, rates, half), rates, half, flops)
    kept = []
    for name in given.names:
        entry = ways.chosen(given, wide, name)
        yield about | {"data": name, "way": WIDE, "budget": "epochs"} | entry
        rate = torch.isclose(rates, torch.tensor(entry["rate"])).view(-1, given.sets)
        of_name = torch.arange(given.sets) // given.seeds == given.names.index(name)
        kept.append((rate & of_name).flatten().nonzero().flatten())
    trained = wide.end[torch.cat(kept)]
    cuts, counted = ways.cut_out(given, trained, untrained, factor)
    rest = given.steps - half
    budget = flops + counted + rest * ways.step_flops(starts["random"])
    for way, cut in cuts.items():
        many = ways.repeated(given, cut)
        end = ways.fit(given, many, rates, rest)
        reached = ways.Reached(many, end, rates, rest, budget)
        for name in given.names:
            entry = ways.chosen(given, reached, name)
            yield about | {"data": name, "way": way, "budget": "epochs"} | entry
    yield from _at_its_cost(given, about, budget, starts, best)


def _at_its_cost(given, about, budget, starts, best) -> Iterator[dict]:
    """Small networks that get all the FLOPs that the wide one took, in one run or in many."""

    def rates_of(way: str) -> Tensor:
        return torch.tensor([best[n, way] for n in given.names]).repeat_interleave(given.seeds)

    for way in ways.STARTS:
        reached = ways.from_start(given, way, starts[way], rates_of(way), budget)
        for name in given.names:
            entry = ways.chosen(given, reached, name)
            yield about | {"data": name, "way": way, "budget": "flops"} | entry
    start = starts["random"]
    run = given.steps * ways.step_flops(start)
    count = max(1, int(budget // run))
    rates = rates_of("random")
    tried = ways.restarted(given, start.widths, rates, count)
    rows = torch.arange(len(tried)).view(count, given.sets)
    correct = tried.accuracy(*(part[rows.flatten() % given.sets] for part in given.validation))
    taken = correct.view(count, given.sets).argmax(0) * given.sets + torch.arange(given.sets)
    began = ways.Ensemble.joined(
        [ways.drawn(given, start.widths, offset=1 + number) for number in range(count)]
    )[taken]
    reached = ways.Reached(began, tried[taken], rates, given.steps, count * run)
    for name in given.names:
        entry = ways.chosen(given, reached, name) | {"restarts": count}
        yield about | {"data": name, "way": ways.RESTARTS, "budget": "flops"} | entry


def _check(data, depths, widths, factors, seeds, steps) -> None:
    for name in data:
        check_choice("data set of this study", name, DATA)
    for what, values, least in (
        ("depths", depths, 1),
        ("widths", widths, 1),
        ("factors", factors, 2),
        ("seeds", [seeds], 2),
        ("steps", [] if steps is None else [steps], 8),
    ):
        most = 1_000_000 if what == "steps" else 10_000
        if wrong := [value for value in values if not least <= value <= most]:
            raise ValueError(
                f"{what} are whole numbers of at least {least} and at most {most:,}, not "
                f"{wrong[0]}."
            )
    if not (data and depths and widths and factors):
        raise ValueError("data, depths, widths and factors each name at least one.")


def _known(record: dict, family, depth, width) -> dict:
    return {
        (entry["data"], entry["way"]): entry
        for entry in record["entries"]
        if entry["data"] in family
        and (entry["depth"], entry["width"], entry["factor"]) == (depth, width, 1)
    }


def _missing(record: dict, family, depth, width, factors) -> list[tuple[list[str], list[int]]]:
    """Data sets of a block that lack the same factors, and those factors."""
    done = {
        (entry["data"], entry["factor"])
        for entry in record["entries"]
        if (entry["depth"], entry["width"]) == (depth, width)
    }
    lacking: dict[tuple, list[str]] = {}
    for name in family:
        factors_left = tuple(factor for factor in factors if (name, factor) not in done)
        lacking.setdefault(factors_left, []).append(name)
    return [(names, list(left)) for left, names in lacking.items() if left]


def _words(record: dict) -> list[str]:
    """The options that make a record again."""
    words = ["--name", record["name"]]
    for option, key in (("data", "data"), ("depths", "depth"), ("widths", "width")):
        words += [f"--{option}", *dict.fromkeys(f"{entry[key]}" for entry in record["entries"])]
    factors = dict.fromkeys(f"{e['factor']}" for e in record["entries"] if e["factor"] > 1)
    words += ["--factors", *factors, "--seeds", f"{record['settings']['seeds']}"]
    steps = {record["settings"][f"{kind}_steps"] for kind in ("toy", "digits")}
    return words if len(steps) > 1 else [*words, "--steps", f"{steps.pop()}"]
