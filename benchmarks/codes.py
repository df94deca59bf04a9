"""How much do region codes cost? Timed and weighed against keeping the activations as floats.

    python -m benchmarks.codes

The networks of the paper at full width, 32 x 32 inputs, random weights; one thread; all ways in
one process, in turns, the median of several runs. Seconds are CPU time, which other work on the
machine does not add to. Four tables:

1. `sl.region_codes` against a plain forward pass of the same model.
2. Codes of a number of inputs (``--inputs``) against the way of the code released with the paper
   (GATECH-EIC/Spline-EB): keep what every unit says as floats on the host, then subtract and
   sum. Both read the same units here, max-pooling included, so that both give the same distance.
   The released code reads the batch norms alone, and keeps four epochs.
3. The distance of two epochs by itself: popcount of packed bits, subtraction of floats,
   comparison of unpacked bool arrays.
4. The memory that this process needs at most while ``--many`` inputs are coded, beyond what it held
   after one batch, over the bytes of the codes: of an array, and of an iterable of batches. The
   inputs themselves take none.

Bytes are those of the arrays that are kept. They are proportional to the number of inputs, so the
columns for 10,000 inputs, which are the canvas of 100 x 100 points of the released code, are exact.
"""

import argparse
import time
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

import splinelib as sl
from benchmarks.measuring import forget_peak, memory, show
from splinelib.network.trace import Interceptor

NETWORKS = {
    "VGG-16": lambda seed: sl.models.vgg16(10, seed=seed),
    "ResNet-18": lambda seed: sl.models.resnet18(10, seed=seed),
    "PreResNet-101": lambda seed: sl.models.preresnet(101, 10, seed=seed),
}
NARROW = {"VGG-16, a quarter wide": lambda seed: sl.models.vgg16(10, width=0.25, seed=seed)}
CANVAS = 10_000  # inputs
EPOCHS_KEPT = 4  # by the released code: one, and the three that it is compared with


# --- the baseline -----------------------------------------------------------------------


@torch.no_grad()
def float_codes(model: nn.Module, inputs: Tensor, batch_size: int) -> list[Tensor]:
    """0.0 or 1.0 for every bit of the region codes: one float32 tensor (N, ...) per layer."""
    batches: list[list[Tensor]] = []

    def keep(activation, operands):
        batches[-1].append(activation.code(*operands).float())

    model.eval()
    for batch in inputs.split(batch_size):
        batches.append([])
        with Interceptor(keep):
            model(batch)
    return [torch.cat(layer) for layer in zip(*batches, strict=True)]


def float_distance(one: list[Tensor], two: list[Tensor]) -> float:
    """Mean over layers of the mean absolute difference."""
    return float(
        np.mean([(a - b).abs().mean(dtype=torch.float64) for a, b in zip(one, two, strict=True)])
    )


def bool_distance(one: list[np.ndarray], two: list[np.ndarray]) -> float:
    """The same of bool arrays, one byte a bit."""
    return float(np.mean([(a != b).mean() for a, b in zip(one, two, strict=True)]))


# --- the measurement --------------------------------------------------------------------


def in_turns(ways: dict, repeats: int) -> tuple[dict[str, float], dict]:
    """Median seconds of CPU time and last result of each way; the first round does not count."""
    seconds, results = {name: [] for name in ways}, {}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            results.pop(name, None)
            start = time.process_time()
            results[name] = way()
            seconds[name].append(time.process_time() - start)
    return {name: median(measured[1:]) for name, measured in seconds.items()}, results


def forward(make, batch_size: int, repeats: int) -> list[float]:
    """Seconds of a plain forward pass and of `sl.region_codes` on one batch, and their ratio."""
    model, batch = make(0).eval(), _images(batch_size)

    @torch.no_grad()
    def plain():
        return model(batch)

    ways = {"plain": plain, "codes": lambda: sl.region_codes(model, batch, batch_size)}
    seconds, _ = in_turns(ways, repeats)
    return [seconds["plain"], seconds["codes"], seconds["codes"] / seconds["plain"]]


def both_ways(make, inputs: int, batch_size: int, repeats: int) -> tuple[list, list]:
    """A row of the second table and one of the third, without the network's name."""
    models, images = [make(seed).eval() for seed in range(2)], _images(inputs)
    extraction, kept = in_turns(
        {
            "codes": lambda: [sl.region_codes(m, images, batch_size) for m in models],
            "floats": lambda: [float_codes(m, images, batch_size) for m in models],
        },
        repeats,
    )
    codes, floats = kept["codes"], kept["floats"]
    packed, loose = codes[0].nbytes, sum(layer.nbytes for layer in floats[0])
    bools = [[c.unpack(name).numpy() for name in c.layers] for c in codes]
    comparison, distances = in_turns(
        {
            "codes": lambda: codes[0].distance(codes[1]),
            "floats": lambda: float_distance(*floats),
            "bools": lambda: bool_distance(*bools),
        },
        repeats,
    )
    same = np.allclose(list(distances.values()), distances["codes"], rtol=0, atol=1e-9)
    canvas = CANVAS / inputs / 1e9
    first = [len(codes[0].layers), packed // inputs]
    first += [packed * canvas, loose * canvas, EPOCHS_KEPT * loose * canvas]
    first += [extraction["codes"] / 2, extraction["floats"] / 2]
    second = [1e3 * comparison[way] for way in ("codes", "floats", "bools")]
    second += [comparison["floats"] / comparison["codes"], "yes" if same else f"no: {distances}"]
    return first, second


def peak(make, inputs: int, batch_size: int) -> list[float]:
    """MB of the codes, and the most memory beside what was there, over them: array, iterable."""
    model, images = make(0).eval(), _images(1).expand(inputs, -1, -1, -1)
    ratios = []
    for given in (images, images.split(batch_size)):
        sl.region_codes(model, images[:batch_size], batch_size)
        before = memory("VmRSS")
        forget_peak()
        size = sl.region_codes(model, iter(given) if given is not images else given, batch_size)
        ratios.append((memory("VmHWM") - before) / (size.nbytes / 2**20))
    return [size.nbytes / 2**20, *ratios]


def _images(count: int) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def main(arguments: list[str] | None = None) -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=128, help="how many inputs are coded")
    parser.add_argument("--batch-size", type=int, default=128, help="inputs of a forward pass")
    parser.add_argument("--many", type=int, default=10_000, help="inputs whose memory is weighed")
    parser.add_argument("--repeats", type=int, default=5, help="runs, of which the median counts")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)

    size, repeats = options.batch_size, options.repeats
    print(f"one thread, median of {repeats}\n\none batch of {size}\n")
    show(
        ["      network", "plain forward (s)", "region_codes (s)", "ratio"],
        ["{}", "{:.3f}", "{:.3f}", "{:.2f}"],
        ([name, *forward(make, size, repeats)] for name, make in NETWORKS.items()),
    )
    print(f"\n{options.inputs:,} inputs; bytes for {CANVAS:,}\n")
    columns = ["      network", "layers", "bytes an input", "codes (GB an epoch)"]
    columns += [f"floats (GB, {epochs})" for epochs in ("1 epoch", f"{EPOCHS_KEPT} epochs")]
    comparisons = []

    def rows():
        for name, make in NETWORKS.items():
            first, second = both_ways(make, options.inputs, size, repeats)
            comparisons.append([name, *second])
            yield [name, *first]

    show(
        [*columns, "codes (s)", "floats (s)"],
        ["{}", "{}", "{:,}", "{:.2f}", "{:.1f}", "{:.1f}", "{:.2f}", "{:.2f}"],
        rows(),
    )
    print(f"\ndistance of two epochs on {options.inputs:,} inputs\n")
    show(
        ["      network", "popcount (ms)", "floats (ms)", "bool (ms)", "times", "same distance"],
        ["{}", "{:.2f}", "{:.1f}", "{:.1f}", "{:.0f}", "{}"],
        comparisons,
    )
    print(f"\nmost memory while {options.many:,} inputs are coded, over the codes\n")
    show(
        ["      network", "codes (MB)", "of an array", "of an iterable"],
        ["{}", "{:.0f}", "{:.2f}", "{:.2f}"],
        ([name, *peak(make, options.many, size)] for name, make in NARROW.items()),
    )


if __name__ == "__main__":
    main()
