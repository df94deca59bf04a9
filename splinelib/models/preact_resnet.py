"""Pre-activation residual networks of bottleneck blocks, for small images."""

from collections.abc import Sequence

from torch import Tensor, nn

from .initialising import check_sizes, initialise, scaled, seeded

# Per stage: ten times as deep as any that was published.
_MOST_BLOCKS = 1200


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
    check_sizes(classes, channels, image_size, width)
    blocks, remainder = divmod(depth - 2, 9)
    if not 1 <= blocks <= _MOST_BLOCKS or remainder:
        raise ValueError(
            f"depth is 9 n + 2 for n blocks per stage (11, 20, 29, ..., 101, at most "
            f"{9 * _MOST_BLOCKS + 2}), not {depth}."
        )
    planes = [scaled(entry, width) for entry in (16, 32, 64)]
    return seeded(lambda: PreResNet(blocks, planes, classes, channels), initialise, seed)
