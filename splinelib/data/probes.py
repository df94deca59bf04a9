"""Inputs whose region codes are watched during training."""

from numbers import Integral

import torch
from torch import Tensor

from ..randomness import generator_of
from .dataset import Dataset


def canvas(dataset: Dataset, points: int = 100, seed: int = 0) -> Tensor:
    """Probe inputs of the released code (Spline-EB): a grid on the plane of two images.

    All ``alpha * x0 + beta * x1`` for alpha and beta in [0, 1], where the released code takes two
    test images of different classes. Here they are training images, so that a result which is
    reported on the test set has not looked at it.

    Parameters
    ----------
    dataset : Dataset
    points : int
        Steps of alpha and of beta, at least 2.
    seed : int
        Seed of the choice of the two images.

    Returns
    -------
    Tensor of float32, shape (points * points, C, H, W)
        Normalised as the network takes them; beta runs fastest.

    Raises
    ------
    ValueError
        For fewer than 2 points, or training images of a single class.

    Examples
    --------
    >>> import splinelib as sl
    >>> canvas(sl.data.load("digits"), points=3).shape
    torch.Size([9, 1, 8, 8])
    """
    if not isinstance(points, Integral) or points < 2:
        raise ValueError(f"points is a whole number, at least 2, not {points!r}")
    labels = dataset.train_labels.cpu()
    order = torch.randperm(len(labels), generator=generator_of(seed))
    others = order[labels[order] != labels[order[0]]]
    if not len(others):
        raise ValueError(
            f"all training images of {dataset.name!r} are of one class: a canvas needs two"
        )
    pair = torch.stack([order[0], others[0]]).to(dataset.train_images.device)
    first, second = dataset.to_float(dataset.train_images[pair])
    share = torch.linspace(0, 1, points, device=first.device)
    alpha, beta = torch.cartesian_prod(share, share).T[:, :, None, None, None]
    return alpha * first + beta * second
