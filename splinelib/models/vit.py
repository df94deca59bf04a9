"""Vision transformers with ReLU blocks, for small images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .initialising import check_sizes, scaled, seeded


class Attention(nn.Module):
    """Self-attention, whose number of heads is read off its weights, so that heads can go.

    Parameters
    ----------
    dim : int
        Features of a token.
    heads, size : int
        How many heads, and the features of each.
    """

    def __init__(self, dim: int, heads: int, size: int):
        super().__init__()
        self.size = size
        self.qkv = nn.Linear(dim, 3 * heads * size)
        self.proj = nn.Linear(heads * size, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        mixed = F.scaled_dot_product_attention(*self._heads(tokens))
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def weights(self, tokens: Tensor) -> Tensor:
        """How much each token reads of each other one, (N, heads, T, T): rows add up to 1."""
        q, k, _ = self._heads(tokens)
        return (q @ k.transpose(-1, -2) / self.size**0.5).softmax(-1)

    def _heads(self, tokens: Tensor) -> Tensor:
        """Queries, keys and values, (3, N, heads, T, size)."""
        rows, length, _ = tokens.shape
        heads = self.qkv.out_features // (3 * self.size)
        return self.qkv(tokens).view(rows, length, 3, heads, self.size).permute(2, 0, 3, 1, 4)


class TransformerBlock(nn.Module):
    """Attention and a perceptron of one hidden layer, each behind a layer norm and added."""

    def __init__(self, dim: int, heads: int, hidden: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dim // heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class VisionTransformer(nn.Module):
    """Vision transformer with pre-norm, a class token and ReLU. See `vision_transformer`."""

    def __init__(
        self,
        classes: int,
        channels: int,
        image_size: int,
        patch: int,
        dim: int,
        heads: int,
        depth: int,
        hidden: int,
    ):
        super().__init__()
        self.image_shape = (channels, image_size, image_size)
        self.patches = nn.Conv2d(channels, dim, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.zeros(1, (image_size // patch) ** 2 + 1, dim))
        self.blocks = nn.Sequential(*(TransformerBlock(dim, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.classifier = nn.Linear(dim, classes)

    def forward(self, images: Tensor) -> Tensor:
        if images.dim() != 4 or images.shape[1:] != self.image_shape:
            raise ValueError(
                f"this network takes images of shape (N, {', '.join(map(str, self.image_shape))}), "
                f"not {tuple(images.shape)}: it has a position for each patch of these"
            )
        patches = self.patches(images).flatten(2).transpose(1, 2)
        token = self.token.expand(len(images), -1, -1)
        tokens = self.blocks(torch.cat([token, patches], 1) + self.positions)
        return self.classifier(self.norm(tokens[:, 0]))


def vision_transformer(
    classes: int = 10,
    channels: int = 3,
    image_size: int = 32,
    width: float = 1.0,
    seed: int = 0,
    *,
    patch: int | None = None,
    dim: int = 128,
    heads: int = 4,
    depth: int = 3,
) -> VisionTransformer:
    """Vision transformer (Dosovitskiy et al., ICLR 2021) whose blocks have ReLU instead of GELU.

    At the size of CIFAR: 0.43 M parameters and 7.3 M multiply-accumulates.

    Parameters
    ----------
    classes, channels, image_size, width, seed
        As for `vgg16`. The width multiplies the size of each head, and so `dim`; the number of
        heads stays.
    patch : int, optional
        Side of the square patches that become tokens. By default a quarter of the image's side,
        which makes 16 patches.
    dim : int
        Features of a token at width 1; a block's perceptron has twice as many hidden units.
    heads : int
        Of each attention; divides `dim`.
    depth : int
        Blocks.

    Returns
    -------
    VisionTransformer
        Takes (N, channels, image_size, image_size), gives (N, classes).

    Raises
    ------
    ValueError
        For sizes that no network can have, a patch that does not divide the image, and a dim that
        the heads do not divide.
    """
    check_sizes(classes, channels, image_size, width)
    patch = max(1, image_size // 4) if patch is None else patch
    for name, value in {"patch": patch, "dim": dim, "heads": heads, "depth": depth}.items():
        if value < 1:
            raise ValueError(f"{name} is at least 1, not {value}.")
    if image_size % patch:
        raise ValueError(
            f"patches of {patch} x {patch} pixels do not divide an image of {image_size} x "
            f"{image_size}: give a patch that does, or images of another size."
        )
    if dim % heads:
        raise ValueError(f"dim is {dim}, which {heads} heads do not divide: give a multiple.")
    size = scaled(dim // heads, width)
    dim = heads * size

    def make() -> VisionTransformer:
        sizes = (classes, channels, image_size, patch, dim, heads, depth, 2 * dim)
        return VisionTransformer(*sizes)

    return seeded(make, _initialise, seed)


def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Variance kept from layer to layer; token and positions small, as in the paper's code."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        fan_in = module.weight[0].numel()
        nn.init.normal_(module.weight, 0.0, fan_in**-0.5, generator=generator)
        nn.init.zeros_(module.bias)
    elif isinstance(module, VisionTransformer):
        nn.init.normal_(module.positions, 0.0, 0.02, generator=generator)
        nn.init.normal_(module.token, 0.0, 0.02, generator=generator)
