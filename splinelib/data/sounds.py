"""Tones whose pitch is known, as short frames of sound."""

import math

import torch
from torch import Tensor

from ..randomness import generator_of

# Samples a second, and samples of a frame, of CREPE (Kim et al., ICASSP 2018).
SAMPLE_RATE, FRAME = 16_000, 1024
LOWEST, HIGHEST = 65.4, 1046.5  # C2 to C6, in hertz
HARMONICS = 12


def tones(count: int, seed: int = 0, noise: float = 0.05) -> tuple[Tensor, Tensor]:
    """Frames of tones, synthesised, and the pitch of each.

    Each tone is a sum of harmonics of one fundamental: the k-th has an amplitude of k^-a times a
    factor, and a phase, of its own. Harmonics above half of the sample rate are left out. White
    noise comes on top, and each frame is shifted and scaled to mean 0 and deviation 1, as CREPE
    takes it.

    Parameters
    ----------
    count : int
        Number of frames, at least 1.
    seed : int
    noise : float
        Standard deviation of the noise, as a share of that of the tone; at least 0.

    Returns
    -------
    frames : Tensor
        float32, shape (count, 1024): 64 ms at 16 kHz.
    pitch : Tensor
        float32, shape (count,), in hertz: fundamentals, drawn evenly on a logarithmic scale
        between 65.4 (C2) and 1046.5 (C6).

    Raises
    ------
    ValueError
        If count or noise are out of range.

    Examples
    --------
    >>> frames, pitch = tones(3)
    >>> frames.shape, bool(((pitch > 65) & (pitch < 1047)).all())
    (torch.Size([3, 1024]), True)
    """
    if count < 1:
        raise ValueError(f"count is a number of frames, at least 1, not {count}.")
    if not 0 <= noise < math.inf:
        raise ValueError(
            f"noise is a share of the tone's deviation, at least 0 and finite, not {noise}."
        )
    generator = generator_of(seed)

    def even(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    octaves = math.log2(HIGHEST / LOWEST)
    pitch = LOWEST * 2 ** (octaves * even(count))
    order = torch.arange(1, HARMONICS + 1, dtype=torch.float64)
    steepness = 0.5 + 1.5 * even(count, 1)
    heights = order**-steepness * (0.5 + even(count, HARMONICS))
    heights[pitch[:, None] * order > SAMPLE_RATE / 2] = 0
    phases = 2 * math.pi * even(count, HARMONICS)
    time = torch.arange(FRAME, dtype=torch.float64) / SAMPLE_RATE
    frames = torch.zeros(count, FRAME, dtype=torch.float64)
    for k in range(HARMONICS):  # one harmonic at a time: all at once would be twelve copies
        turns = 2 * math.pi * pitch[:, None] * order[k] * time
        frames += heights[:, k, None] * torch.sin(turns + phases[:, k, None])
    white = torch.randn(count, FRAME, generator=generator, dtype=torch.float64)
    frames += noise * frames.std(1, keepdim=True) * white
    frames = frames - frames.mean(1, keepdim=True)
    return (frames / frames.std(1, keepdim=True)).float(), pitch.float()
