"""A network by its name."""

from collections.abc import Callable

from torch import nn

from ..data.dataset import Dataset
from .initialising import check_sizes, scaled
from .perceptron import mlp
from .preact_resnet import preresnet
from .resnet import resnet18, resnet50
from .vgg import vgg16
from .vit import vision_transformer


def build(name: str, dataset: Dataset, width: float = 1.0, seed: int = 0) -> nn.Module:
    """A network by name, with the inputs and outputs that a dataset needs.

    Parameters
    ----------
    name : str
        ``"mlp"`` (two hidden layers of 128 x width), ``"vgg16"``, ``"resnet18"``,
        ``"resnet50"``, ``"vit"``, or ``"preresnetDEPTH"`` such as ``"preresnet101"``.
    dataset : Dataset
        Gives image shape and classes.
    width : float
        Multiplier of every layer's units or channels.
    seed : int
        Seed of the weights.

    Raises
    ------
    ValueError
        The name is unknown.
    """
    channels, image_size, _ = dataset.shape
    shape = {
        "classes": len(dataset.classes),
        "channels": channels,
        "image_size": image_size,
        "width": width,
    }
    depth = name.removeprefix("preresnet")
    if name != depth and depth.isdecimal() and depth.isascii():
        return preresnet(int(depth), **shape, seed=seed)
    if name not in NETWORKS:
        raise ValueError(
            f"There is no network {name!r}. Known: {', '.join(NETWORKS)}, preresnet20, "
            "preresnet101 and other depths 9 n + 2."
        )
    return NETWORKS[name](**shape, seed=seed)


def _hidden_128(classes: int, channels: int, image_size: int, width: float, seed: int) -> nn.Module:
    check_sizes(classes, channels, image_size, width)
    hidden = scaled(128, width)
    return mlp([channels * image_size**2, hidden, hidden, classes], seed=seed)


# Name -> function of classes, channels, image_size, width and seed.
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "mlp": _hidden_128,
    "vgg16": vgg16,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "vit": vision_transformer,
}
