"""How long do the spline criterion and the removal take? Timed against torch-pruning's FPGM.

    python -m benchmarks.pruning

Both compare every two units of a layer, and remove half of all units of the whole network. Timed
as a user waits for it, tracing included: `splinelib.prune` against making and stepping
torch-pruning's pruner; and without the tracing, torch-pruning's pruner and our layout made
beforehand. Ours returns a smaller copy, theirs works in place. One thread, all ways in one
process, in turns, the median of several runs, in seconds of processor time, which what else
runs on the machine changes least (set OMP_NUM_THREADS=1, so that no library starts threads of its
own). What Python's garbage collector has to look through is looked through before each is timed:
upon whom it would fall is chance.

Torch-pruning draws a graph of the run and stops there. Ours runs the network while each channel is
followed, and then holds the smaller network that is asked for against the masked one: both are made
and run. Of PreResNet-101 this takes a good quarter of the time, the following and the comparing of
units a good fifth each. Trial and following take time by the module and not by the weight. So least
is gained on a deep network of thin layers, and more on one of wide layers, where the comparing of
units takes most. Without the tracing the layout has been tried out beforehand, for whatever units
may go.

Then one layer alone, as wide as 16,384 units: the greedy order of `spline`, its time and its
memory. And the greedy removal by least squares, of `lsq` and `bend`, against the same with every
step made at once, as the papers write it down.
"""

import argparse
import copy
import gc
import time
from collections.abc import Callable
from statistics import median

import torch
import torch_pruning as tp
from torch import nn

import splinelib as sl
from benchmarks.measuring import forget_peak, memory, show
from splinelib.scores.least_squares import Reader, least_squares_order
from splinelib.scores.merging import merging_distance

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "VGG-16": sl.models.vgg16,
    "PreResNet-101": lambda: sl.models.preresnet(depth=101),
    "ResNet-18": sl.models.resnet18,
}
RATIO = 0.5


def ours(model: nn.Module, layout, example: torch.Tensor) -> nn.Module:
    """Score by redundant hyperplanes, choose globally, remove."""
    scores = sl.score(model, "spline", layout=layout)
    return sl.shrink(model, sl.select(scores, RATIO))


def theirs(model: nn.Module, example: torch.Tensor) -> tp.pruner.BasePruner:
    """torch-pruning's pruner, its graph made, ready for the step that is timed."""
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    return tp.pruner.BasePruner(
        model,
        example,
        importance=tp.importance.FPGMImportance(),
        global_pruning=True,
        pruning_ratio=RATIO,
        ignored_layers=[last],
    )


def compare(name: str, repeats: int) -> list[str]:
    """One row: units, milliseconds of both, with tracing and without, how many times faster."""
    model = NETWORKS[name]().eval()
    example = torch.zeros(1, 3, 32, 32)
    layout = sl.find_groups(model, example)
    times: dict[str, list[float]] = {"whole": [], "ours": [], "theirs whole": [], "theirs": []}
    for _ in range(repeats + 1):
        gc.collect()
        start = time.process_time()
        sl.prune(model, RATIO, "spline", example=example)
        times["whole"].append(time.process_time() - start)
        gc.collect()
        start = time.process_time()
        small = ours(model, layout, example)
        times["ours"].append(time.process_time() - start)
        victim = copy.deepcopy(model)
        gc.collect()
        before = time.process_time()
        pruner = theirs(victim, example)
        start = time.process_time()
        pruner.step()
        times["theirs"].append(time.process_time() - start)
        times["theirs whole"].append(time.process_time() - before)
        with torch.no_grad():
            assert small(example).shape == victim(example).shape
    # the first one warms up
    whole, mine, other_whole, other = (1000 * median(t[1:]) for t in times.values())
    cells = [whole, other_whole, mine, other]
    ratios = [f"{other_whole / whole:.2f}", f"{other / mine:.2f}"]
    return [name, f"{layout.units:,}", *(f"{cell:.0f}" for cell in cells), *ratios]


def wide(units: int, fan_in: int) -> list[str]:
    """One layer: seconds for its scores, and MB on top of what was in use."""
    generator = torch.Generator().manual_seed(0)
    normals = torch.randn(units, fan_in, generator=generator)
    offsets = torch.randn(units, generator=generator)
    forget_peak()
    before, start = memory("VmRSS"), time.process_time()
    merging_distance(normals, offsets)
    seconds = time.process_time() - start
    all_pairs = units * units * normals.element_size() / 1e6
    return [
        f"{units:,} x {fan_in:,}",
        f"{seconds:.1f}",
        f"{memory('VmHWM') - before:,.0f}",
        f"{all_pairs:,.0f}",
    ]


def one_by_one(gram: torch.Tensor, outgoing: torch.Tensor) -> list[int]:
    """The order of `least_squares_order` without ridge, each step of rank one made at once."""
    inverse, outgoing = torch.linalg.inv(gram), outgoing.clone()
    alive, order = torch.ones(len(gram), dtype=torch.bool), []
    for _ in range(len(gram)):
        error = outgoing.diagonal() / inverse.diagonal()
        goes = int(error.masked_fill(~alive, torch.inf).argmin())
        step, row = inverse[:, goes] / inverse[goes, goes], outgoing[goes].clone()
        half = row - row[goes] * step / 2
        outgoing.addr_(step, half, alpha=-1).addr_(half, step, alpha=-1)
        inverse.addr_(step, inverse[goes].clone(), alpha=-1)
        alive[goes] = False
        inverse[goes, goes] = 1
        order.append(goes)
    return order


def greedy(units: int) -> list[str]:
    """One row: seconds of the greedy removal by least squares, ours and with each step at once."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2 * units, units, generator=generator, dtype=torch.float64)
    gram = rows.T @ rows / len(rows)
    weight = torch.randn(units, units, generator=generator, dtype=torch.float64)
    reader = Reader(gram, gram.new_zeros(units), weight.T @ weight, 1.0)
    start = time.process_time()
    order = least_squares_order([reader], units, ridge=0.0).order.tolist()
    mine, start = time.process_time() - start, time.process_time()
    assert order == one_by_one(gram, reader.outgoing)
    other = time.process_time() - start
    return [f"{units:,}", f"{mine:.2f}", f"{other:.2f}", f"{other / mine:.1f}"]


def main(arguments: list[str] | None = None) -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7, help="runs, of which the median counts")
    parser.add_argument("--widths", nargs="*", type=int, default=[1024, 4096, 16384])
    parser.add_argument("--greedy", nargs="*", type=int, default=[128, 512, 2048])
    parser.add_argument("--fan-in", type=int, default=1024)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"one thread, median of {options.repeats}, {RATIO:.0%} of all units, untrained\n")
    show(
        [
            *("      network", " units", "whole: ours (ms)", "FPGM of torch-pruning"),
            *("traced: ours", "FPGM", "times faster: whole", "traced"),
        ],
        ["{}"] * 8,
        (compare(name, options.repeats) for name in NETWORKS),
    )
    print()
    show(
        ["  units x fan-in", "seconds", "peak MB", "MB of all pairs"],
        ["{}"] * 4,
        (wide(units, options.fan_in) for units in options.widths),
    )
    print()
    show(
        ["  units", "least squares: ours (s)", "each step at once (s)", "times faster"],
        ["{}"] * 4,
        (greedy(units) for units in options.greedy),
    )


if __name__ == "__main__":
    main()
