"""Weights drawn from a seed, and the checks and rounding that all networks share."""

from collections.abc import Callable

import torch
from torch import nn

from ..randomness import generator_of

# Far above any network's: a layer of so many times 128 channels fits no memory.
_WIDEST = 1024
# Initial batch-norm scale of network slimming and Early-Bird Tickets.
BATCH_NORM_SCALE = 0.5


def scaled(channels: int, width: float) -> int:
    """So many channels times the width, rounded, at least 1."""
    return max(1, round(channels * width))


def check_sizes(classes: int, channels: int, image_size: int, width: float) -> None:
    """Refuse sizes that no network can have."""
    for name, value in {
        "classes": classes,
        "channels": channels,
        "image_size": image_size,
    }.items():
        if value < 1:
            raise ValueError(f"{name} is at least 1, not {value}.")
    if not 0 < width <= _WIDEST:
        raise ValueError(
            f"width multiplies the channels, is above 0 and at most {_WIDEST}, not {width}."
        )


def seeded(
    make: Callable[[], nn.Module],
    initialise: Callable[[nn.Module, torch.Generator], None],
    seed: int,
) -> nn.Module:
    """Make a network of float32 and draw its weights from `seed` alone, on any device."""
    device = torch.get_default_device()
    with torch.device("cpu"):
        # Constructors draw weights of their own from the global generator: put it back afterwards.
        with torch.random.fork_rng(devices=[]):
            model = make().float()
        generator = generator_of(seed)
        for module in model.modules():
            initialise(module, generator)
    return model.to(device)


def initialise(module: nn.Module, generator: torch.Generator) -> None:
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
