"""A network by its name."""

from torch import nn

from ..data.dataset import Dataset
from .initialising import check_sizes, scaled
from .perceptron import mlp
from .preact_resnet import preresnet
from .resnet import resnet18, resnet50
from .vgg import vgg16


def build(name: str, dataset: Dataset, width: float = 1.0, seed: int = 0) -> nn.Module:
    """A network by name, with the inputs and outputs that a dataset needs.

    Parameters
    ----------
    name : str
        ``"mlp"`` (two hidden layers of 128 x width), ``"vgg16"``, ``"resnet18"``,
        ``"resnet50"``, or ``"preresnetDEPTH"`` such as ``"preresnet101"``.
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
    classes = len(dataset.classes)
    shape = {"classes": classes, "channels": channels, "image_size": image_size}
    if name == "mlp":
        check_sizes(width=width, **shape)
        hidden = scaled(128, width)
        return mlp([dataset.train_images[0].numel(), hidden, hidden, classes], seed=seed)
    if name == "vgg16":
        return vgg16(**shape, width=width, seed=seed)
    if name in ("resnet18", "resnet50"):
        make = resnet18 if name == "resnet18" else resnet50
        return make(**shape, width=width, seed=seed)
    if name.startswith("preresnet") and name.removeprefix("preresnet").isdecimal():
        depth = int(name.removeprefix("preresnet"))
        return preresnet(depth, **shape, width=width, seed=seed)
    raise ValueError(
        f"There is no network {name!r}. Known: mlp, vgg16, resnet18, resnet50, preresnet20, "
        "preresnet101 and other depths 9 n + 2."
    )
