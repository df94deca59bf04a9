"""How close and how fast is `sl.pruning_bound`? Against CROWN and intervals of both networks.

    python -m benchmarks.bounds
    python -m benchmarks.bounds --boxes 100 --repeats 5

Networks trained here on digits, pruned in several ways, boxes around test images; one thread, all
ways in one process, in turns, processor seconds, the median of several runs. The rivals are the
methods of their papers on the same code: intervals of both networks subtracted (Gowal et al.,
2018), and CROWN of the difference network (Zhang et al., 2018), that is of the two side by side
with their outputs subtracted. auto_LiRPA 0.3, which PyPI has, does not import beside NumPy 2.
Bounds are medians over the boxes of the largest change of an output; `found` is what a search
finds, and no bound may lie below it.
"""

import argparse
import time
from statistics import median

import torch
from torch import nn

import splinelib as sl
from benchmarks.measuring import show
from splinelib.bounds import METHODS, found_change

WIDTHS = ([32, 32], [128, 128], [32] * 6)
RATIOS, RADII = (0.1, 0.5), (0.01, 0.1, 0.3)
PRUNED = {  # criterion, compensation
    "bend, merged": ("bend", "merge"),
    "magnitude": ("magnitude", False),
    "lsq, refitted": ("lsq", "refit"),
}


def trained(widths: list[int], data: sl.data.Dataset, epochs: int) -> nn.Module:
    """An MLP that has learned digits."""
    model = sl.models.mlp([64, *widths, 10], seed=0)
    setting = {"lr": 0.05, "augment": False, "progress": False}
    return sl.training.train(model, data, epochs=epochs, **setting).model


def pruned(dense: nn.Module, way: str, ratio: float, inputs: torch.Tensor) -> nn.Module:
    """One of the ways of `PRUNED`."""
    criterion, compensate = PRUNED[way]
    given = {"example": inputs[:1]} if compensate == "merge" else {"data": inputs}
    return sl.prune(dense, ratio, criterion, scope="layerwise", compensate=compensate, **given)


def bounded(dense: nn.Module, small: nn.Module, box: tuple, repeats: int) -> list[float]:
    """What a search finds, then the bound and the seconds of each method."""
    found = found_change(dense, small, box)
    least = torch.maximum(-found.low, found.high)
    row = [float(least.amax(1).median())]
    for method in METHODS:
        seconds = []
        for _ in range(repeats):
            start = time.process_time()
            bound = sl.pruning_bound(dense, small, box, method=method)
            seconds.append(time.process_time() - start)
        if (bound.sizes * (1 + 1e-9) + 1e-9 < least).any():
            raise AssertionError(f"{method} is below what the search found")
        row += [float(bound.sizes.amax(1).median()), median(seconds)]
    return row


def rows(options: argparse.Namespace):
    """One row for each network, way of pruning, ratio and radius."""
    data = sl.data.load("digits")
    inputs, images = (data.to_float(x) for x in (data.train_images, data.test_images))
    for widths in WIDTHS:
        dense = trained(widths, data, options.epochs)
        name = f"[{widths[0]}] * {len(widths)}"
        for way in PRUNED:
            for ratio in RATIOS:
                small = pruned(dense, way, ratio, inputs)
                for radius in RADII:
                    box = images[: options.boxes] - radius, images[: options.boxes] + radius
                    yield [name, way, ratio, radius, *bounded(dense, small, box, options.repeats)]


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--boxes", type=int, default=40, help="test images")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the median counts")
    parser.add_argument("--epochs", type=int, default=15, help="of training")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"one thread, {options.boxes} boxes at once, median of {options.repeats}\n")
    columns = ["   network", "     pruned by", "ratio", "radius", "    found"]
    formats = ["{}", "{}", "{:.0%}", "{:g}", "{:.3g}"]
    for method in METHODS:
        columns += [f"{method:>11}", "seconds"]
        formats += ["{:.3g}", "{:.2f}"]
    show(columns, formats, rows(options))


if __name__ == "__main__":
    main()
