"""The networks of the paper, for small images, at any width.

Each is a plain `torch.nn.Module` of standard layers. They follow the code family that the paper
builds on (network slimming, then Early-Bird Tickets): convolutions without bias before batch
norm, global average pooling, and one linear layer at the end.

Every function takes a `seed` and leaves PyTorch's global generator as it was.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from .data import Dataset

# Initial batch-norm scale of network slimming and Early-Bird Tickets.
BATCH_NORM_SCALE = 0.5

# Side in pixels up to which a ResNet takes images as they are; above, it first shrinks them by 4.
_SMALL_IMAGE = 64

# Channels of VGG-16's convolutions; "M" is a 2 x 2 max-pooling.
_VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)


def mlp(
    widths: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU, seed: int = 0
) -> nn.Sequential:
    """A multi-layer perceptron: flatten, then linear layers with an activation between each two.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden units of each layer, outputs: at least two numbers.
    activation : callable
        Makes one activation module, such as `torch.nn.ReLU`.
    seed : int
        Seed of the weights, drawn as `torch.nn.Linear` does.

    Returns
    -------
    torch.nn.Sequential
        With modules ``flatten``, ``linear1``, ``activation1``, ``linear2``, ...

    Examples
    --------
    >>> mlp([2, 16, 16, 1])(torch.zeros(5, 2)).shape
    torch.Size([5, 1])
    """
    widths = [int(width) for width in widths]
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(
            f"widths lists inputs, hidden layers and outputs, each at least 1, not {widths}."
        )

    def make() -> nn.Sequential:
        layers = OrderedDict(flatten=nn.Flatten())
        for number, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
            layers[f"linear{number}"] = nn.Linear(fan_in, fan_out)
            if number < len(widths) - 1:
                layers[f"activation{number}"] = activation()
        return nn.Sequential(layers)

    def initialise(module: nn.Module, generator: torch.Generator) -> None:
        if isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)

    return _seeded(make, initialise, seed)


class VGG(nn.Module):
    """VGG-16 with batch norm, global average pooling and one linear layer. See `vgg16`."""

    def __init__(self, plan: Sequence[int | str], classes: int, channels: int, image_size: int):
        super().__init__()
        layers: list[nn.Module] = []
        side = image_size
        for entry in plan:
            if entry == "M":
                # On 8 x 8 digits the later poolings have nothing left to pool.
                if side > 1:
                    layers.append(nn.MaxPool2d(2))
                    side //= 2
                continue
            layers += [
                nn.Conv2d(channels, entry, 3, padding=1, bias=False),
                nn.BatchNorm2d(entry),
                nn.ReLU(),
            ]
            channels = entry
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.pool(self.features(images)).flatten(1))


class PreActivationBottleneck(nn.Module):
    """Bottleneck block with batch norm and ReLU before each convolution (He et al., 2016)."""

    expansion = 4

    def __init__(self, channels: int, planes: int, stride: int):
        super().__init__()
        out = planes * self.expansion
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
        self.relu = nn.ReLU()
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels == out
            else nn.Conv2d(channels, out, 1, stride=stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(self.relu(self.bn1(x)))
        out = self.conv2(self.relu(self.bn2(out)))
        out = self.conv3(self.relu(self.bn3(out)))
        return out + self.shortcut(x)


class PreResNet(nn.Module):
    """Pre-activation residual network of bottleneck blocks for small images. See `preresnet`."""

    def __init__(self, blocks: int, planes: Sequence[int], classes: int, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, planes[0], 3, padding=1, bias=False)
        current = planes[0]
        stages = []
        for stage, width in enumerate(planes):
            layers = []
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(PreActivationBottleneck(current, width, stride))
                current = width * PreActivationBottleneck.expansion
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.bn = nn.BatchNorm2d(current)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(current, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.relu(self.bn(self.stages(self.conv(images))))
        return self.classifier(self.pool(features).flatten(1))


def _shortcut(channels: int, out: int, stride: int) -> nn.Module:
    """The identity, or a 1 x 1 convolution with batch norm where the shape changes."""
    if stride == 1 and channels == out:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
    )


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, ReLU after the sum (He et al., 2016)."""

    expansion = 1

    def __init__(self, channels: int, out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu2 = nn.ReLU()
        self.shortcut = _shortcut(channels, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(out + self.shortcut(x))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution and a shortcut, ReLU after the sum (He et al., 2016).

    The 3 x 3 convolution takes the stride, as in torchvision.
    """

    expansion = 4

    def __init__(self, channels: int, planes: int, stride: int):
        super().__init__()
        out = planes * self.expansion
        self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu3 = nn.ReLU()
        self.shortcut = _shortcut(channels, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        return self.relu3(self.bn3(self.conv3(out)) + self.shortcut(x))


class ResNet(nn.Module):
    """ResNet of four stages, for small images or large ones. See `resnet18` and `resnet50`."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: Sequence[int],
        planes: Sequence[int],
        classes: int,
        channels: int,
        image_size: int,
    ):
        super().__init__()
        current, side = planes[0], image_size
        large = image_size > _SMALL_IMAGE
        kernel, stride = (7, 2) if large else (3, 1)
        self.conv = nn.Conv2d(
            channels, current, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        self.bn = nn.BatchNorm2d(current)
        self.relu = nn.ReLU()
        self.first_pool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()
        stages = []
        for stage, (count, width) in enumerate(zip(blocks, planes, strict=True)):
            layers = []
            for number in range(count):
                stride = 2 if stage > 0 and number == 0 and side > 1 else 1
                layers.append(block(current, width, stride))
                current, side = width * block.expansion, -(-side // stride)
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(current, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.first_pool(self.relu(self.bn(self.conv(images))))
        return self.classifier(self.pool(self.stages(features)).flatten(1))


def vgg16(
    classes: int = 10, channels: int = 3, image_size: int = 32, width: float = 1.0, seed: int = 0
) -> VGG:
    """VGG-16 with batch norm for small images.

    13 convolutions, four max-poolings (fewer when the image is too small for them), global
    average pooling and one linear layer, as in network slimming and Early-Bird Tickets. At CIFAR
    size: 14.72 M parameters and 313 M multiply-accumulates.

    Parameters
    ----------
    classes, channels, image_size : int
        Outputs; channels and side in pixels of an input image.
    width : float
        Multiplier of every layer's channels, rounded, at least 1 channel.
    seed : int
        Seed of the weights.

    Returns
    -------
    VGG
        Takes (N, channels, image_size, image_size), gives (N, classes).
    """
    _check(classes, channels, image_size, width)
    plan = [entry if entry == "M" else _scaled(entry, width) for entry in _VGG16]
    return _seeded(lambda: VGG(plan, classes, channels, image_size), _initialise, seed)


def preresnet(
    depth: int = 101,
    classes: int = 10,
    channels: int = 3,
    image_size: int = 32,
    width: float = 1.0,
    seed: int = 0,
) -> PreResNet:
    """Pre-activation ResNet of bottleneck blocks for small images.

    At depth 101 and CIFAR size: 1.05 M parameters and 154 M multiply-accumulates.

    Parameters
    ----------
    depth : int
        9 n + 2 for n blocks in each of the three stages: 20, 29, ..., 101, ..., 164.
    classes, channels, image_size, width, seed
        As for `vgg16`.

    Returns
    -------
    PreResNet
        Takes (N, channels, image_size, image_size), gives (N, classes).
    """
    _check(classes, channels, image_size, width)
    blocks, remainder = divmod(depth - 2, 9)
    if blocks < 1 or remainder:
        raise ValueError(
            f"depth is 9 n + 2 for n blocks per stage (11, 20, 29, ..., 101), not {depth}."
        )
    planes = [_scaled(entry, width) for entry in (16, 32, 64)]
    return _seeded(lambda: PreResNet(blocks, planes, classes, channels), _initialise, seed)


def resnet18(
    classes: int = 10, channels: int = 3, image_size: int = 32, width: float = 1.0, seed: int = 0
) -> ResNet:
    """ResNet-18: 11.17 M parameters and 555 M multiply-accumulates on CIFAR.

    Images of more than 64 pixels a side meet ImageNet's first layers, a 7 x 7 convolution of
    stride 2 and a max-pooling: 11.69 M parameters and 1.81 G at 224 pixels and 1,000 classes.

    Parameters
    ----------
    classes, channels, image_size, width, seed
        As for `vgg16`.

    Returns
    -------
    ResNet
        Takes (N, channels, image_size, image_size), gives (N, classes).
    """
    _check(classes, channels, image_size, width)
    planes = [_scaled(entry, width) for entry in (64, 128, 256, 512)]
    return _seeded(
        lambda: ResNet(BasicBlock, (2, 2, 2, 2), planes, classes, channels, image_size),
        _initialise,
        seed,
    )


def resnet50(
    classes: int = 10, channels: int = 3, image_size: int = 32, width: float = 1.0, seed: int = 0
) -> ResNet:
    """ResNet-50: 25.56 M parameters and 4.09 G MACs at 224 pixels and 1,000 classes.

    Parameters
    ----------
    classes, channels, image_size, width, seed
        As for `vgg16`. Images of up to 64 pixels a side meet a 3 x 3 first convolution and no first
        pooling, as in `resnet18`.

    Returns
    -------
    ResNet
        Takes (N, channels, image_size, image_size), gives (N, classes).
    """
    _check(classes, channels, image_size, width)
    planes = [_scaled(entry, width) for entry in (64, 128, 256, 512)]
    return _seeded(
        lambda: ResNet(Bottleneck, (3, 4, 6, 3), planes, classes, channels, image_size),
        _initialise,
        seed,
    )


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
        _check(width=width, **shape)
        hidden = _scaled(128, width)
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


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _check(classes: int, channels: int, image_size: int, width: float) -> None:
    for name, value in {
        "classes": classes,
        "channels": channels,
        "image_size": image_size,
    }.items():
        if value < 1:
            raise ValueError(f"{name} is at least 1, not {value}.")
    if not 0 < width < float("inf"):
        raise ValueError(f"width multiplies the channels and is above 0, not {width}.")


def _seeded(
    make: Callable[[], nn.Module],
    initialise: Callable[[nn.Module, torch.Generator], None],
    seed: int,
) -> nn.Module:
    """Make a network and draw its weights from `seed` alone."""
    # Constructors draw weights of their own from the global generator: put it back afterwards.
    with torch.random.fork_rng(devices=[]):
        model = make()
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        initialise(module, generator)
    return model


def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Weights as in network slimming's `_initialize_weights` (He et al. 2015, fan-out)."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
        nn.init.normal_(module.weight, 0.0, (2 / fan_out) ** 0.5, generator=generator)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.constant_(module.weight, BATCH_NORM_SCALE)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.01, generator=generator)
        nn.init.zeros_(module.bias)
