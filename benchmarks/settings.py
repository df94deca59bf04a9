"""Which settings of the spline criterion lose least? Chosen on validation images.

    python -m benchmarks.settings
    python -m benchmarks.settings --checkpoint dense.pt --width 0.25    # of a run on CIFAR-10

The criterion has two settings: the weight `rho` of offsets against angles, and how many PCA
components it keeps. Here every pair of values scores the units of trained networks, a share of
each layer goes, the next layers are refitted with no training, and the accuracy is taken on
training images that were held out of training. The table shows the points that this costs, the mean
over networks and ratios. Only the pair that loses least and the library's own are then tried on the
test images.

Without a checkpoint the networks are MLPs 64-128-128-10, trained here on digits. A checkpoint is
that of a run with ``--validation`` (``dense.pt``), and the same share and seed must be given.
"""

import argparse
from dataclasses import dataclass
from functools import partial
from statistics import mean, stdev

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

import splinelib as sl
from benchmarks.compensation import digits_networks
from splinelib import experiments, training
from splinelib.experiments import oneshot
from splinelib.scores import criteria, merging
from splinelib.scores.hyperplanes import RHO

RHOS = (0.0, 0.03, 0.1, 0.3, 1.0)
COMPONENTS = (4, 8, 16, 32, 0.9, 0.99)
_TRIED = "spline, as tried"


@dataclass
class Trial:
    """A trained network, its calibration images, and what it is judged on.

    Attributes
    ----------
    dense : nn.Module
    data : Tensor
    images : dict of str to (Tensor, Tensor)
        ``"validation"`` and ``"test"``: images and labels.
    transform : callable
        Normalises images.
    seed : int
    """

    dense: nn.Module
    data: Tensor
    images: dict[str, tuple[Tensor, Tensor]]
    transform: object
    seed: int

    @classmethod
    def of(cls, dense: nn.Module, whole: sl.data.Dataset, share: float, split: int, seed, count):
        """The network that was trained without the share of images that this split holds out."""
        chosen, held_out = whole.split(validation=share, seed=split)
        data, _ = experiments.sample(whole.subset(train=chosen), count, seed)
        images = {
            "validation": (whole.train_images[held_out], whole.train_labels[held_out]),
            "test": (whole.test_images, whole.test_labels),
        }
        return cls(dense.eval(), data, images, whole.to_float, seed)

    def lost(self, rho: float, components: int | float, ratios: list[float], part: str) -> float:
        """Points of accuracy that pruning costs, the mean over ratios."""

        def judge(model: nn.Module) -> float:
            return training.evaluate(model, *self.images[part], transform=self.transform)

        sl.CRITERIA[_TRIED] = partial(criteria.spline, rho=rho, components=components)
        try:
            made = oneshot.compare(
                self.dense,
                [f"{_TRIED}@layerwise+refit"],
                ratios,
                data=self.data,
                judge=judge,
                seed=self.seed,
            )
        finally:
            del sl.CRITERIA[_TRIED]
        return 100 * (judge(self.dense) - mean(entry["accuracy"] for entry in made))


def grid(trials: list[Trial], ratios: list[float]) -> dict[tuple, list[float]]:
    """Points lost on validation images by each pair of settings, one number per network."""
    pairs = [(rho, components) for rho in RHOS for components in COMPONENTS]
    return {
        pair: [trial.lost(*pair, ratios, "validation") for trial in trials]
        for pair in tqdm(pairs, desc="settings", leave=False)
    }


def table(found: dict[tuple, list[float]]) -> None:
    """Print the mean over networks, a row for each rho."""
    labels = [f"{c:.0%}" if isinstance(c, float) else str(c) for c in COMPONENTS]
    print("points of validation accuracy lost; columns: components, or share of the spectrum")
    print(f"{'rho':>6}" + "".join(f"{label:>8}" for label in labels))
    for rho in RHOS:
        print(f"{rho:6.2f}" + "".join(f"{mean(found[rho, c]):8.2f}" for c in COMPONENTS))


def main(arguments: list[str] | None = None) -> None:
    """Try every pair of settings and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="MLPs to train")
    parser.add_argument("--checkpoint", nargs="+", help="dense.pt of runs, in place of the MLPs")
    parser.add_argument("--network", default="vgg16", help="of the checkpoints")
    parser.add_argument("--dataset", default="cifar10", help="of the checkpoints")
    parser.add_argument("--width", type=float, default=1.0, help="of the checkpoints")
    parser.add_argument("--validation", type=float, default=0.1, help="share held out of training")
    parser.add_argument("--first-seed", type=int, default=0, help="of the checkpoints, in order")
    parser.add_argument("--images", type=int, default=2048, help="calibration images")
    parser.add_argument("--ratios", nargs="+", type=float, default=[0.3, 0.5, 0.7])
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    trials = []
    if options.checkpoint:
        whole = sl.data.load(options.dataset)
        for seed, path in enumerate(options.checkpoint, options.first_seed):
            model = sl.models.build(options.network, whole, options.width, 0)
            model.load_state_dict(training.read_checkpoint(path)["model"])
            trials.append(Trial.of(model, whole, options.validation, seed, seed, options.images))
    else:
        networks, _ = digits_networks(options.seeds)
        for seed, model in enumerate(networks):
            trials.append(Trial.of(model, sl.data.load("digits"), 0.2, 0, seed, options.images))
    found = grid(trials, options.ratios)
    table(found)
    best = min(found, key=lambda pair: mean(found[pair]))
    print("\npoints of test accuracy lost, mean and standard deviation over networks")
    for what, pair in (("least on validation", best), ("default", (RHO, merging.COMPONENTS))):
        lost = [trial.lost(*pair, options.ratios, "test") for trial in trials]
        spread = f" ± {stdev(lost):.2f}" if len(lost) > 1 else ""
        print(f"{what:<22}rho {pair[0]:<6}components {pair[1]:<6}{mean(lost):6.2f}{spread}")


if __name__ == "__main__":
    main()
