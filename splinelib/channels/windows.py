"""Attention within shifted windows, as torchvision's Swin has it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class OpenWindowAttention(nn.Module):
    """torchvision's ``ShiftedWindowAttention``, or its second version, of any number of heads.

    It is not made anew: `attention.opened` puts it in the place of torchvision's, whose attributes
    it has. What it computes is the same.

    Attributes
    ----------
    original : type
        Class of torchvision in whose place it stands.
    head_dim : int
        Channels of a head.
    """

    original: type
    head_dim: int

    @property
    def num_heads(self) -> int:
        return self.qkv.out_features // (3 * self.head_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs and outputs of shape (N, H, W, channels)."""
        _, height, width, _ = x.shape
        down, right = (-size % w for size, w in zip((height, width), self.window_size, strict=True))
        x = F.pad(x, (0, 0, 0, right, 0, down))
        sizes = x.shape[1:3]
        # no window needs a shift that is as large as the image
        shifts = [
            0 if window >= size else shift
            for window, size, shift in zip(self.window_size, sizes, self.shift_size, strict=True)
        ]
        if any(shifts):
            x = torch.roll(x, [-shift for shift in shifts], (1, 2))
        windows = self._attended(self._windows(x), self._mask(sizes, shifts, x))
        x = self._image(F.dropout(windows, self.dropout, self.training), sizes)
        if any(shifts):
            x = torch.roll(x, shifts, (1, 2))
        return x[:, :height, :width].contiguous()

    def _windows(self, x: Tensor) -> Tensor:
        """(N, H, W, channels) -> (N * windows, positions, channels)."""
        (h, w), (n, height, width, _) = self.window_size, x.shape
        x = x.view(n, height // h, h, width // w, w, -1).permute(0, 1, 3, 2, 4, 5)
        return x.flatten(0, 2).flatten(1, 2)

    def _image(self, x: Tensor, sizes: torch.Size) -> Tensor:
        """The way back."""
        (h, w), (height, width) = self.window_size, sizes
        x = x.view(-1, height // h, width // w, h, w, x.shape[-1])
        return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, height, width, x.shape[-1])

    def _attended(self, x: Tensor, mask: Tensor | None) -> Tensor:
        qkv = self.qkv(x).unflatten(2, (3, -1, self.head_dim)).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        if (scale := getattr(self, "logit_scale", None)) is None:
            scores = q * self.head_dim**-0.5 @ k.transpose(-2, -1)
        else:  # the second version compares directions, of keys without a bias
            if self.qkv.bias is not None:
                k = k - self.qkv.bias.view(3, -1, 1, self.head_dim)[1]
            scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
            scores = scores * scale.clamp(max=math.log(100.0)).exp()
        scores = scores + self.original.get_relative_position_bias(self)
        if mask is not None:
            apart = scores.unflatten(0, (-1, len(mask)))
            scores = (apart + mask[:, None]).flatten(0, 1)
        weights = F.dropout(scores.softmax(-1), self.attention_dropout, self.training)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))

    def _mask(self, sizes: torch.Size, shifts: list[int], like: Tensor) -> Tensor | None:
        """-100 between positions that a shift has brought together, (windows, n, n)."""
        if not any(shifts):
            return None
        places = []
        for size, window, shift in zip(sizes, self.window_size, shifts, strict=True):
            part = torch.zeros(size, device=like.device)
            part[-window:] += 1
            part[size - shift :] += 1
            places.append(part)
        region = 3 * places[0][:, None] + places[1]
        parts = self._windows(region[None, :, :, None])[..., 0]
        differ = parts[:, None] != parts[:, :, None]
        return torch.zeros_like(differ, dtype=like.dtype).masked_fill(differ, -100.0)
