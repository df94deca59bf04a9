"""How much memory does a refit take, above the network and its inputs?

    python -m benchmarks.memory

Half of all units go from a network with the layers of torchcrepe's pitch estimator (22 M parameters
at full width, a kernel of 512 samples in front, then kernels of 64 over up to 1,024 channels, drawn
at random), by magnitude, and the rest is refitted on random frames of 1,024 samples. Each row is
made in a process of its own, whose highest mark is read. Beside it stands what the normal
equations of the widest layer alone would take.
"""

import argparse
import os
import resource
import subprocess
import sys
import time

import torch
from torch import nn

import splinelib as sl
from benchmarks.measuring import memory, show
from splinelib.calibration.regression import held

CHANNELS = (1024, 128, 128, 128, 256, 512)


def pitch_network(width: float) -> nn.Module:
    """Convolutions with ReLU, batch norm and max-pooling over (N, 1, 1024), 360 outputs."""
    layers, before, length = [], 1, 1024
    for at, channels in enumerate(CHANNELS):
        channels, kernel = max(8, int(width * channels)), 64 if at else 512
        stride = 1 if at else 4
        total = kernel - stride
        layers += [nn.ZeroPad1d((total // 2, total - total // 2))]
        layers += [nn.Conv1d(before, channels, kernel, stride), nn.ReLU()]
        layers += [nn.BatchNorm1d(channels), nn.MaxPool1d(2)]
        before, length = channels, length // stride // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * length, 360)).eval()


def refit(frames: int, width: float) -> list[str]:
    """One row: MB above what is in use before the refit, and seconds of processor time."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, data = pitch_network(width), torch.randn(frames, 1, 1024)
    scores = sl.score(model, "magnitude", example=data[:1])
    masks = sl.select(scores, 0.5, "layerwise")
    used, start = memory("VmRSS"), time.process_time()
    small = sl.shrink(model, masks, data=data, compensate="refit")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    widest = max((m for m in small.modules() if isinstance(m, nn.Conv1d)), key=columns_of)
    normal = held(columns_of(widest), 1 << 40) / 2**20
    seconds = time.process_time() - start
    return [
        f"{parameters:.1f}",
        str(frames),
        f"{peak - used:,.0f}",
        f"{normal:,.0f}",
        f"{seconds:.0f}",
    ]


def columns_of(layer: nn.Module) -> int:
    """How many columns a regression on what a layer reads has."""
    return layer.weight[0].numel()


def alone(frames: int, width: float) -> list[str]:
    """`refit` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--row", str(frames), str(width)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise RuntimeError(f"the refit failed: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout.split()


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", nargs="*", type=int, default=[48, 384])
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--row", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.row:
        print(" ".join(refit(int(options.row[0]), float(options.row[1]))))
        return
    show(
        ["M parameters", "frames", "peak MB", "MB of normal equations", "seconds"],
        ["{}"] * 5,
        (alone(frames, options.width) for frames in options.frames),
    )


if __name__ == "__main__":
    main()
