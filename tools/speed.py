"""How long an epoch of training takes here, eager and captured, alone and beside others.

    python -m tools.speed [--tiny]

A captured step is replayed as one CUDA graph, and so are captured codes of the probe. Beside each
time of an epoch stands what the device could do at best: the operations of an epoch at 800 TFLOP/s,
or the bytes that its activations and weights move at 3 TB/s, whichever is more (an H100 in
bfloat16). The lines that begin with "measured" are for `tools.lease`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

import splinelib as sl
from splinelib import experiments, models, training
from splinelib.codes.probe import Probe
from splinelib.cost.flops import FORWARDS_PER_STEP, forward_flops
from splinelib.data import Dataset, load
from splinelib.experiments import Protocol
from splinelib.experiments.watch import Watch
from splinelib.training.batches import Batches
from splinelib.training.loop import laid_out
from splinelib.training.sgd import SGD
from splinelib.training.step import WARM_UP, CapturedStep, Step

NETWORKS = ("vgg16", "resnet18", "preresnet101")
TOGETHER = 3  # processes, to see whether they fill the gaps of each other; two in a rehearsal
OPERATIONS, BYTES = 800e12, 3e12  # a second
# How often an activation is written or read in a step: by the layer, the norm, the ReLU, and back.
TOUCHED = 8


def seconds_a_step(kind: type[Step], protocol: Protocol, dataset: Dataset, most: float) -> float:
    """Mean over the steps that fit into some seconds, at least three, the first ones left out."""
    device = experiments.device()
    model = experiments.build(protocol, dataset).to(device)
    model, batches = laid_out(model, Batches.of(dataset, True, device))
    step = kind(model.train(), SGD(model, 0.9, 1e-4), 0.0, batches.make, device)
    generator = torch.Generator(device).manual_seed(0)
    done, began = 0, 0.0
    while True:
        for batch in batches.shuffled(protocol.batch_size, generator):
            if done == WARM_UP + 2:
                _wait()
                began = time.perf_counter()
            step(batch, 0.01)
            done += 1
            if done > WARM_UP + 4 and done % 8 == 0:
                _wait()
                if time.perf_counter() - began > most:
                    return (time.perf_counter() - began) / (done - WARM_UP - 2)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds_to_code(protocol: Protocol, dataset: Dataset, capture: bool) -> float:
    """Codes of the probe, when they are taken for the second time."""
    model = experiments.build(protocol, dataset).to(experiments.device()).eval()
    inputs, _ = experiments.sample(dataset, protocol.probe, protocol.seed)
    probe = Probe(inputs, smooth="freeze", capture=capture)
    probe.codes(model)
    began = time.perf_counter()
    probe.codes(model)
    return time.perf_counter() - began


def seconds_to_cut(width: int) -> tuple[int, float]:
    """Regions of a random network of two inputs on this device, and the seconds to find them."""
    model = models.mlp([2, width, width, width, 1]).to(experiments.device())
    began = time.perf_counter()
    return len(sl.partition(model)), time.perf_counter() - began


def seconds_to_watch(protocol: Protocol, dataset: Dataset, capture: bool) -> float:
    """What comes after each dense epoch: codes, masks, accuracy; the second time."""
    model = experiments.build(protocol, dataset).to(experiments.device())

    def accuracy(network: nn.Module) -> dict:
        test = dataset.test_images, dataset.test_labels
        return {"accuracy": training.evaluate(network, *test, transform=dataset.to_float)}

    def inputs(count: int) -> torch.Tensor:
        return experiments.sample(dataset, count, protocol.seed)[0]

    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(protocol, Path(folder), inputs, accuracy, {}, capture=capture)
        watch(0, model.eval())
        began = time.perf_counter()
        watch(1, model)
        return time.perf_counter() - began


def floor(protocol: Protocol, dataset: Dataset) -> float:
    """Seconds of an epoch that no schedule of the same work goes below, about."""
    model = experiments.build(protocol, dataset).eval()
    example, numbers = experiments.sample(dataset, 1, 0)[0], []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda m, args, out: numbers.append(out.numel()))
    flops = FORWARDS_PER_STEP * forward_flops(model, example)
    numbers.clear()
    with torch.no_grad():
        model(example)
    images = len(dataset.train_images)
    steps = images / protocol.batch_size
    weights = sum(p.numel() for p in model.parameters())
    # bfloat16 activations; weights in float32, read and written with gradients and momenta
    moved = images * sum(numbers) * TOUCHED * 2 + steps * weights * 4 * 6
    return max(images * flops / OPERATIONS, moved / BYTES)


def together(protocol: Protocol, count: int, most: float, tiny: bool) -> float:
    """Seconds of a captured step where several processes make them at once."""
    command = [sys.executable, "-m", "tools.speed", "--alone", protocol.network, str(most)]
    command += ["--tiny"] if tiny else []
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    answers = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"one of {count} processes could not measure")
    return max(float(answer.split()[-1]) for answer in answers)


def setting(network: str, tiny: bool) -> tuple[Protocol, Dataset]:
    """The protocol of a network and its images."""
    if not tiny:
        return Protocol(network=network, dataset="cifar10"), load("cifar10")
    few = load("digits").subset(train=64, test=32)
    small = {"width": 0.1, "epochs": 3, "probe": 16, "batch_size": 16}
    return Protocol(network=network, **small), few


def captured() -> type[Step]:
    """The faster kind of step, where it can be made."""
    return CapturedStep if torch.cuda.is_available() else Step


def read(text: str) -> dict:
    """What a report says last of each thing: seconds of an epoch, processes at once, what is eager.

    Returns
    -------
    dict
        ``epochs``, seconds of a dense epoch by network, as one of ``at_once`` processes;
        ``eager``, by network whether eager steps are the faster ones. A report that was cut says
        less.
    """
    told = {"epochs": {}, "at_once": 1, "eager": {}, "slower": 1.0}
    for line in text.splitlines():
        if line.startswith("measured "):
            said = json.loads(line.removeprefix("measured "))
            for by_network in ("epochs", "eager"):
                told[by_network] |= said.pop(by_network, {})
            told |= said
    slower = told.pop("slower")
    told["epochs"] = {name: slower * seconds for name, seconds in told["epochs"].items()}
    return told


def tell(**said) -> None:
    """Print what `read` reads."""
    print("measured " + json.dumps(said), flush=True)


def measure(tiny: bool) -> None:
    """Print how fast each network trains, and whether several processes pay."""
    most, alone = 0.2 if tiny else 1.5, {}
    for network in NETWORKS[: 1 if tiny else None]:
        protocol, dataset = setting(network, tiny)
        steps = len(dataset.train_images) / protocol.batch_size
        eager = steps * seconds_a_step(Step, protocol, dataset, most)
        graph = steps * seconds_a_step(captured(), protocol, dataset, most)
        watch, least = seconds_to_watch(protocol, dataset, graph <= eager), floor(protocol, dataset)
        codes = [1e3 * seconds_to_code(protocol, dataset, way) for way in (False, True)]
        alone[network] = min(eager, graph)
        print(
            f"{network}: an epoch takes {eager:.2f} s eager, {graph:.2f} s captured, "
            f"{alone[network] / least:.1f} times the floor of {least:.2f} s; watching {watch:.2f} s"
        )
        print(f"{network}: codes of the probe {codes[0]:.1f} ms eager, {codes[1]:.1f} ms captured")
        tell(epochs={network: alone[network] + watch}, eager={network: graph > eager})
        if network == NETWORKS[0]:
            count = 2 if tiny else TOGETHER
            beside = steps * together(protocol, count, most, tiny)
            slower = beside / alone[network]
            print(f"{network}: as one of {count} processes {beside:.2f} s, {slower:.1f} times it")
            if slower < 0.8 * count:
                tell(at_once=count, slower=slower)
    regions, seconds = seconds_to_cut(16 if tiny else 64)
    print(f"a partition of {regions} regions takes {seconds:.2f} s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="one small network, on a CPU too")
    parser.add_argument("--alone", nargs=2, metavar=("NETWORK", "SECONDS"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.alone is None:
        measure(options.tiny)
        return
    network, most = options.alone
    print(seconds_a_step(captured(), *setting(network, options.tiny), float(most)))


if __name__ == "__main__":
    main()
