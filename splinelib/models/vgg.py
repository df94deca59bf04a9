"""VGG-16 with batch norm, for small images."""

from collections.abc import Sequence

from torch import Tensor, nn

from .initialising import check_sizes, initialise, scaled, seeded

# Channels of VGG-16's convolutions; "M" is a 2 x 2 max-pooling.
_VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)


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
    check_sizes(classes, channels, image_size, width)
    plan = [entry if entry == "M" else scaled(entry, width) for entry in _VGG16]
    return seeded(lambda: VGG(plan, classes, channels, image_size), initialise, seed)
