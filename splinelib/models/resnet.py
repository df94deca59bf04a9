"""ResNet-18 and ResNet-50, for small images and large ones."""

from collections.abc import Sequence

from torch import Tensor, nn

from .initialising import check_sizes, initialise, scaled, seeded

# Side in pixels up to which a ResNet takes images as they are; above, it first shrinks them by 4.
_SMALL_IMAGE = 64


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
    return _resnet(BasicBlock, (2, 2, 2, 2), classes, channels, image_size, width, seed)


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
    return _resnet(Bottleneck, (3, 4, 6, 3), classes, channels, image_size, width, seed)


def _resnet(
    block: type[nn.Module],
    blocks: tuple[int, ...],
    classes: int,
    channels: int,
    image_size: int,
    width: float,
    seed: int,
) -> ResNet:
    check_sizes(classes, channels, image_size, width)
    planes = [scaled(entry, width) for entry in (64, 128, 256, 512)]
    return seeded(
        lambda: ResNet(block, blocks, planes, classes, channels, image_size), initialise, seed
    )
