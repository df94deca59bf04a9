"""How fast is `sl.partition`? Timed against a baseline that takes one unit after another.

    python -m benchmarks.partition
    python -m benchmarks.partition --slice vgg16      # a plane through three images

Random networks of two inputs, He-normal weights and N(0, 0.5) biases, on the square [-1, 1]^2;
one thread; both ways in one process, in turns, processor seconds, the median of several runs. Both
give polygons, codes, areas and the unit that drew each side; `sl.partition` also gives shared
vertices and neighbours, and is right where lines are degenerate, which the baseline is not.

A slice is a small square of the plane through three CIFAR-10 images, cut by a convolutional network
of full width: random weights, batch-norm statistics of CIFAR-10 images. It reports the highest
memory of the whole process, and asks the network itself for the codes of random points.
"""

import argparse
import time
from statistics import median

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

import splinelib as sl
from benchmarks.measuring import forget_peak, memory, show

NETWORKS = ([64] * 3, [64] * 5, [128] * 4)
GROWTH = (16, 32, 64, 128), (1, 2, 3, 4)  # widths and depths
SLICES = {"vgg16": 0.0008, "resnet18": 0.0004, "preresnet20": 0.0008}  # side of the square
CENTRE = 0.33  # of the square, in both plane coordinates: near the middle of the three images
DOMAIN = ((-1, 1), (-1, 1))


def random_network(widths: list[int], seed: int) -> nn.Sequential:
    """A float64 MLP with two inputs and one output."""
    model = sl.models.mlp([2, *widths, 1], seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data.normal_(0, (2 / layer.in_features) ** 0.5, generator=generator)
            layer.bias.data.normal_(0, 0.5, generator=generator)
    return model


# --- the baseline -----------------------------------------------------------------------


class Polygons:
    """Convex polygons that share nothing, padded to one number of corners.

    Attributes
    ----------
    corners : ndarray of float64, shape (R, K, 2)
    count : ndarray of int, shape (R,)
        Corners of each polygon; the last one is repeated up to K.
    source : ndarray of int, shape (R, K)
        Number of the unit that drew the side after each corner; negative on the border.
    """

    def __init__(self, domain):
        (x0, x1), (y0, y1) = domain
        self._room = {
            "corners": np.array([[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]], np.float64),
            "count": np.array([4]),
            "source": -1 - np.arange(4)[None],
        }
        self._size = 1

    def __len__(self) -> int:
        return self._size

    def __getattr__(self, name: str) -> np.ndarray:
        return self._room[name][: self._size]

    def cut(self, row: np.ndarray, unit: int) -> np.ndarray:
        """Cut polygons where ``row[:, 0] * x + row[:, 1] * y + row[:, 2]`` changes sign.

        One half takes the polygon's place, the other is appended; returns those cut, in order.
        """
        value = np.einsum("rkd,rd->rk", self.corners, row[:, :2]) + row[:, 2:]
        cut = np.flatnonzero((value.max(1) > 0) & (value.min(1) < 0))
        if len(cut):
            above, below = self._halves(cut, value[cut], unit)
            self._resize(self._size + len(cut), max(above[0].shape[1], below[0].shape[1]))
            self._put(cut, above)
            self._put(np.arange(self._size, self._size + len(cut)), below)
            self._size += len(cut)
        return cut

    def _halves(self, cut: np.ndarray, value: np.ndarray, unit: int) -> list[tuple]:
        """The parts where the value is positive, and where it is negative."""
        corners, count, source = self.corners[cut], self.count[cut], self.source[cut]
        polygons, slots = np.arange(len(cut))[:, None], np.arange(value.shape[1])
        after = np.where(slots + 1 < count[:, None], slots + 1, 0)
        real = slots < count[:, None]
        change = value - value[polygons, after]
        crossed = (value * value[polygons, after] < 0) & real
        t = np.where(crossed, value / np.where(crossed, change, 1), 0)[..., None]
        crossing = corners + t * (corners[polygons, after] - corners)
        doubled = len(cut), 2 * value.shape[1]
        points = np.stack([corners, crossing], 2).reshape(*doubled, 2)
        halves = []
        for side in (value, -value):
            keep = np.stack([(side >= 0) & real, crossed], 2).reshape(doubled)
            drawn = np.where(side > 0, unit, source)  # the chord begins where we go out
            halves.append(_packed(points, np.stack([source, drawn], 2).reshape(doubled), keep))
        return halves

    def _put(self, at: np.ndarray, polygons: tuple) -> None:
        corners, count, source = polygons
        width = corners.shape[1]
        self._room["corners"][at, :width] = corners
        self._room["corners"][at, width:] = corners[:, -1:]
        self._room["count"][at] = count
        self._room["source"][at, :width] = source

    def _resize(self, rows: int, width: int) -> None:
        """Make room, twice as much as before at least, so that little is copied."""
        room, old = self._room["count"], self._room["corners"].shape[1]
        more = max(len(room), rows - len(room)) if rows > len(room) else 0
        wider = max(width - old, 0)
        if more or wider:
            for name, array in self._room.items():
                pad = [(0, more), (0, wider), (0, 0)][: array.ndim]
                self._room[name] = np.pad(array, pad, "edge")

    def areas(self) -> np.ndarray:
        """Area of each polygon."""
        p, q = self.corners, np.roll(self.corners, -1, axis=1)
        return (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(1) / 2


def _packed(points: np.ndarray, source: np.ndarray, keep: np.ndarray) -> tuple:
    """The points kept of each row, in order, the last one repeated; how many; their sources."""
    count = keep.sum(1)
    order = np.argsort(~keep, axis=1, kind="stable")[:, : count.max()]
    order = order[
        np.arange(len(keep))[:, None], np.minimum(np.arange(count.max()), count[:, None] - 1)
    ]
    row = np.arange(len(keep))[:, None]
    return points[row, order], count, source[row, order]


def per_unit(model: nn.Sequential, domain=DOMAIN) -> tuple[Polygons, np.ndarray, np.ndarray]:
    """The partition of an MLP, one unit after another, each cutting all regions at once.

    Right for lines in general position only.

    Returns
    -------
    polygons : Polygons
    codes : ndarray of uint8, shape (R, bytes)
        Packed, one bit per unit.
    areas : ndarray of float64, shape (R,)
    """
    polygons, units = Polygons(domain), 0
    outputs = np.eye(2, 3)[None]  # of each region: rows (a, b, c) of a x + b y + c
    codes = np.zeros((1, 0), np.uint8)
    linears = [module for module in model if isinstance(module, nn.Linear)]
    for linear in linears[:-1]:
        weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
        before = weight @ outputs
        before[..., 2] += bias
        home = np.arange(len(before))  # region of the last layer that each polygon lies in
        for unit in range(len(bias)):
            cut = polygons.cut(before[home, unit], units + unit)
            home = np.concatenate([home, home[cut]])
        before = before[home]
        inside = np.column_stack([polygons.corners.mean(1), np.ones(len(polygons))])
        on = np.einsum("rud,rd->ru", before, inside) > 0
        outputs = before * on[..., None]
        codes = np.concatenate([codes[home], np.packbits(on, axis=1)], axis=1)
        units += len(bias)
    return polygons, codes, polygons.areas()


# --- the measurement --------------------------------------------------------------------


def ours(model: nn.Sequential) -> np.ndarray:
    """Everything that `sl.partition` gives; the areas."""
    part = sl.partition(model, DOMAIN)
    assert len(part.regions) == len(part.codes) == len(part)
    return part.areas


def baseline(model: nn.Sequential) -> np.ndarray:
    """Everything that the baseline gives; the areas."""
    return per_unit(model)[2]


def measured(function, model) -> tuple:
    """Seconds, MB of memory on top of what was in use (nan if unknown), and the result."""
    forget_peak()
    before = memory("VmRSS")
    start = time.process_time()  # other work on the machine does not count
    result = function(model)
    return time.process_time() - start, memory("VmHWM") - before, result


def compare(widths: list[int], seed: int, repeats: int) -> list:
    """One row of the table: both ways in turns."""
    model = random_network(widths, seed)
    runs = {function: [] for function in (ours, baseline)}
    for _ in range(repeats):
        for function, results in runs.items():
            results.append(measured(function, model))
    regions, others = (len(results[0][2]) for results in runs.values())
    same = regions == others and np.allclose(*(np.sort(r[0][2]) for r in runs.values()), atol=1e-10)
    seconds = [median(run[0] for run in results) for results in runs.values()]
    peaks = [max(run[1] for run in results) for results in runs.values()]
    return [_shape(widths), seed, regions, *seconds, *peaks, "yes" if same else f"no: {others:,}"]


def growth(seed: int, repeats: int) -> list[list]:
    """How the time grows with width and depth."""
    rows = []
    widths, depths = GROWTH
    for width in widths:
        for depth in depths:
            model = random_network([width] * depth, seed)
            runs = [measured(ours, model) for _ in range(repeats)]
            seconds, regions = median(run[0] for run in runs), len(runs[0][2])
            rows.append([_shape([width] * depth), regions, seconds, regions / seconds])
    return rows


# --- slices through images --------------------------------------------------------------


def calibrated(network: str, data: sl.data.Dataset, width: float = 1.0) -> nn.Module:
    """A random network whose batch norms have the statistics of images, as training leaves them."""
    model = sl.models.build(network, data, width=width).train()
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean over batches
            module.bias.data.normal_(0, 0.2, generator=generator)
    with torch.no_grad():
        model(data.to_float(data.train_images[:256]))
    return model.eval()


def slice_through(network: str, dataset: str, side: float, points: int = 100) -> list:
    """One row: units, regions, seconds, peak memory in MB, points whose code is the network's."""
    data = sl.data.load(dataset)
    model = calibrated(network, data)
    plane = sl.Plane.through(*data.to_float(data.train_images[:3]))
    low, high = CENTRE - side / 2, CENTRE + side / 2
    seconds, _, part = measured(
        lambda model: sl.partition(model, ((low, high), (low, high)), plane), model
    )
    peak = memory("VmHWM")
    where = np.random.default_rng(0).uniform(low, high, (points, 2))
    codes = sl.region_codes(model.double(), plane(where), batch_size=20)
    mine = part.codes[part.locate(where)]
    same = np.mean([mine[i].distance(codes[i]) == 0 for i in range(points)])
    units = sum(int(np.prod(shape)) for shape in part.codes.layers.values())
    return [network, side, units, len(part), seconds, peak, same]


def _shape(widths: list[int]) -> str:
    return f"[{widths[0]}] * {len(widths)}"


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="networks of each shape")
    parser.add_argument("--repeats", type=int, default=5, help="runs, of which the median counts")
    parser.add_argument("--slice", choices=SLICES, nargs="+", help="networks to slice instead")
    parser.add_argument("--dataset", default="cifar10", help="images that span the plane")
    parser.add_argument("--side", type=float, help="of the square, in distances of two images")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with threadpool_limits(1):  # NumPy's linear algebra
        if options.slice:
            _slices(options.slice, options.dataset, options.side)
        else:
            _tables(options.seeds, options.repeats)


def _slices(networks: list[str], dataset: str, side: float | None) -> None:
    print("one thread; memory of the whole process\n")
    columns = [
        "    network",
        "    side",
        "  units",
        "regions",
        "seconds",
        "peak (MB)",
        "codes right",
    ]
    formats = ["{}", "{}", "{:,}", "{:,}", "{:.1f}", "{:,.0f}", "{:.0%}"]
    rows = (slice_through(name, dataset, side or SLICES[name]) for name in networks)
    show(columns, formats, rows)


def _tables(seeds: int, repeats: int) -> None:
    measured(ours, random_network([16], 0))  # loads what is loaded on first use
    print(f"one thread, median of {repeats}; memory on top of {memory('VmRSS'):.0f} MB\n")
    columns = ["      network", "seed", "regions", "ours (s)", "per unit (s)"]
    formats = ["{}", "{}", "{:,}", "{:.3f}", "{:.3f}", "{:.0f}", "{:.0f}", "{}"]
    show(
        [*columns, "ours (MB)", "per unit (MB)", "same regions"],
        formats,
        (compare(widths, seed, repeats) for widths in NETWORKS for seed in range(seeds)),
    )
    print("\nhow it grows\n")
    columns = ["     network", " regions", "seconds", "regions a second"]
    show(columns, ["{}", "{:,}", "{:.3f}", "{:,.0f}"], growth(0, repeats))


if __name__ == "__main__":
    main()
