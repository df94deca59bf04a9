"""How much accuracy do the order, the share per layer and the compensation each save?

    python -m benchmarks.compensation
    python -m benchmarks.compensation --checkpoint dense.pt --network vgg16 --width 0.25

Units are removed from a trained network, with no training afterwards; printed are the points of
test accuracy that this costs. Without a checkpoint the network is an MLP 64-128-128-10, trained
here on digits; with one, that of a recorded run (``dense.pt``). Scores and compensation see
unlabelled training images only, or nothing at all where a unit is merged, and nothing is chosen on
the test images. What the ways share is
measured once: the seconds of the first ratio include the scoring, where it is new, and those of
the rest do not. One thread unless told otherwise.
"""

import argparse
import time
import warnings
from statistics import mean

import torch
from torch import nn

import splinelib as sl
from splinelib import training

# (share per layer, compensation), each step adding one thing to the one before; "merge" without a
# single input, for criteria that need none.
STEPS = (
    ("layerwise", False),
    ("layerwise", "merge"),
    ("global", "merge"),
    ("layerwise", "refit"),
    ("residual", False),
    ("residual", "fold"),
    ("residual", "refit"),
    ("residual", "distil"),
)
WORDS = {
    "layerwise": "even",
    "global": "one threshold",
    "merge": "merge, no data",
    "residual": "least residual",
    False: "nothing",
    "distil": "refit, distil",
}


def criteria_facts(criterion: str) -> sl.criteria.Facts:
    return sl.criteria.facts(sl.CRITERIA[criterion])


class Pruned:
    """One dense network, pruned in every way."""

    def __init__(self, dense: nn.Module, dataset: sl.data.Dataset, images: int, seed: int):
        self.dataset = dataset
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(dataset.train_images), generator=generator)[:images]
        data = dataset.to_float(dataset.train_images[chosen])
        self.pruner = sl.Pruner(dense.eval(), data, seed=seed)
        self.without_data = sl.Pruner(dense, example=data[:1], seed=seed)
        self.accuracy = self._test(dense)

    def _test(self, model: nn.Module) -> float:
        test = self.dataset.test_images, self.dataset.test_labels
        return training.evaluate(model, *test, transform=self.dataset.to_float)

    def loss(self, criterion: str, share: str, compensate, ratio: float) -> tuple[float, float]:
        """Points of accuracy that it costs, and seconds."""
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="groups .* would have lost all")
            pruner = self.without_data if compensate == "merge" else self.pruner
            small = pruner.prune(ratio, criterion, share, compensate)
        seconds = time.perf_counter() - start
        return 100 * (self.accuracy - self._test(small)), seconds


def digits_networks(seeds: int) -> tuple[list[nn.Module], sl.data.Dataset]:
    """MLPs of 64-128-128-10 units, trained on four fifths of the training digits."""
    digits = sl.data.load("digits")
    chosen, _ = digits.split(validation=0.2, seed=0)
    digits = digits.subset(train=chosen)
    networks = [
        training.train(
            sl.models.build("mlp", digits, seed=seed),
            digits,
            epochs=30,
            lr=0.1,
            weight_decay=1e-3,
            seed=seed,
            augment=False,
            progress=False,
        ).model
        for seed in range(seeds)
    ]
    return networks, digits


def table(pruned: list[Pruned], criteria: list[str], ratios: list[float]) -> None:
    """Print a row for each order and step: mean loss over the networks at each ratio."""
    dense = 100 * mean(p.accuracy for p in pruned)
    print(
        f"dense {dense:.2f} % of test images; points lost with no training, {len(pruned)} seeds\n"
    )
    head = f"{'order':<11}{'share':<16}{'compensation':<16}"
    print(head + "".join(f"{100 * ratio:6.0f} %" for ratio in ratios) + "   seconds: first, rest")
    for criterion in criteria:
        for share, compensate in STEPS:
            if compensate == "merge" and criteria_facts(criterion).needs_data:
                continue
            runs = [
                [p.loss(criterion, share, compensate, ratio) for p in pruned] for ratio in ratios
            ]
            lost = "".join(f"{mean(points for points, _ in run):8.2f}" for run in runs)
            first = mean(s for _, s in runs[0])
            rest = mean(s for run in runs[1:] for _, s in run) if runs[1:] else float("nan")
            words = f"{criterion:<11}{WORDS[share]:<16}{WORDS.get(compensate, compensate):<16}"
            print(f"{words}{lost}{first:16.1f}{rest:6.1f}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Prune and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="MLPs to train")
    parser.add_argument("--checkpoint", help="dense.pt of a recorded run, in place of the MLPs")
    parser.add_argument("--network", default="vgg16", help="of the checkpoint")
    parser.add_argument("--dataset", default="cifar10", help="of the checkpoint")
    parser.add_argument("--width", type=float, default=1.0, help="of the checkpoint")
    parser.add_argument("--images", type=int, default=2048, help="calibration images")
    parser.add_argument(
        "--criteria", nargs="+", default=["lsq", "bend", "spline", "magnitude", "random"]
    )
    parser.add_argument("--ratios", nargs="+", type=float, default=[0.3, 0.5, 0.7, 0.9])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.checkpoint:
        dataset = sl.data.load(options.dataset)
        model = sl.models.build(options.network, dataset, options.width, 0)
        model.load_state_dict(training.read_checkpoint(options.checkpoint)["model"])
        networks = [model]
    else:
        networks, dataset = digits_networks(options.seeds)
    pruned = [Pruned(model, dataset, options.images, seed) for seed, model in enumerate(networks)]
    table(pruned, options.criteria, options.ratios)


if __name__ == "__main__":
    main()
