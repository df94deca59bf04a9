"""Attention of torch and torchvision as layers that can be seen, scored and cut.

`torch.nn.MultiheadAttention`, and the attention of torchvision's Swin, hand their weights to one
function, which asks that heads and inputs be as many as they were made for. So nobody sees what the
layer behind the heads reads, and no head can go. Opened, they compute the same by layers that are
called, with as many heads as the weights have; `closed` brings back the original wherever widths
allow it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .windows import OpenWindowAttention

_WINDOWS = "torchvision.models.swin_transformer"


class OpenAttention(nn.MultiheadAttention):
    """`torch.nn.MultiheadAttention` of as many heads as its weights have.

    It is not made anew: `opened` puts it in the place of torch's. What it computes, and its
    arguments, are those of torch's; the weight and the bias of its input layer are called
    ``in_proj.weight`` and ``in_proj.bias`` in a state dict.

    Attributes
    ----------
    in_proj : torch.nn.Linear
        Makes queries, keys and values, one behind the other.
    out_proj : torch.nn.Linear
    head_dim : int
        Channels of a head.
    """

    @property
    def num_heads(self) -> int:
        return self.in_proj.out_features // (3 * self.head_dim)

    @property
    def in_proj_weight(self) -> Tensor:
        return self.in_proj.weight

    @property
    def in_proj_bias(self) -> Tensor | None:
        return self.in_proj.bias

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As torch's; `is_causal` only says what the mask is."""
        given = query, key, value
        alone = query.ndim == 2
        if alone:
            given = [tensor.unsqueeze(0) for tensor in given]
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            given = [tensor.transpose(0, 1) for tensor in given]
        same = query is key and key is value
        parts = self.in_proj(given[0]).chunk(3, -1) if same else self._apart(*given)
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for part in parts)
        mask, weights = _joined(attn_mask, key_padding_mask, q), None
        dropped = self.dropout if self.training else 0.0
        if need_weights:
            scores = q @ k.transpose(-2, -1) * self.head_dim**-0.5
            weights = F.dropout((scores if mask is None else scores + mask).softmax(-1), dropped)
            made = weights @ v
            if average_attn_weights:  # as a sum, so that heads can go where nobody looks at it
                weights = weights.sum(1) / weights.shape[1]
            weights = weights[0] if alone else weights
        else:
            made = F.scaled_dot_product_attention(q, k, v, mask, dropped)
        output = self.out_proj(made.transpose(1, 2).flatten(2))
        if alone:
            return output[0], weights
        return output if self.batch_first else output.transpose(0, 1), weights

    def _apart(self, *given: Tensor) -> list[Tensor]:
        """Queries, keys and values of different inputs."""
        weights = self.in_proj.weight.chunk(3)
        biases = (None,) * 3 if self.in_proj.bias is None else self.in_proj.bias.chunk(3)
        return [F.linear(*each) for each in zip(given, weights, biases, strict=True)]


def _joined(mask: Tensor | None, padding: Tensor | None, like: Tensor) -> Tensor | None:
    """What is added to the scores (N, heads, targets, sources), from masks as torch takes them."""
    parts = []
    if mask is not None:
        parts.append(mask if mask.ndim == 2 else mask.view(len(like), -1, *mask.shape[1:]))
    if padding is not None:
        parts.append(padding[:, None, None])
    added = None
    for part in parts:
        if part.dtype == torch.bool:
            part = torch.zeros_like(part, dtype=like.dtype).masked_fill(part, -torch.inf)
        added = part if added is None else added + part
    return added


def opened(model: nn.Module) -> nn.Module:
    """The model with its attention opened, in place; parameters stay what they are.

    Subclasses stay as they are, and attention that adds keys of its own or reads keys and values of
    other widths than its queries.
    """
    for module in list(model.modules()):
        if _can_open(module):
            _open(module)
        elif type(module).__module__ == _WINDOWS and hasattr(module, "relative_position_index"):
            module.original = type(module)
            module.head_dim = module.qkv.out_features // (3 * module.__dict__.pop("num_heads"))
            module.__class__ = OpenWindowAttention
    return model


def has_opened(model: nn.Module) -> bool:
    """Whether some attention of the model is open."""
    return any(isinstance(m, (OpenAttention, OpenWindowAttention)) for m in model.modules())


def original_kind(module: nn.Module) -> type:
    """The class that a module has where nothing is opened."""
    if isinstance(module, OpenWindowAttention):
        return module.original
    return nn.MultiheadAttention if type(module) is OpenAttention else type(module)


def _can_open(module: nn.Module) -> bool:
    return (
        type(module) is nn.MultiheadAttention
        and "forward" not in vars(module)
        and module._parameters.get("in_proj_weight") is not None
        and module.bias_k is None
        and not module.add_zero_attn
    )


def _open(attention: nn.MultiheadAttention) -> None:
    own = attention._parameters
    weight, bias = own["in_proj_weight"], own["in_proj_bias"]
    own["in_proj_weight"] = own["in_proj_bias"] = None  # places that stay, to keep the order
    layer = nn.Linear(weight.shape[1], len(weight), bias is not None, device="meta")
    layer.weight, layer.bias = weight, bias
    del attention.__dict__["num_heads"]
    attention.__class__ = OpenAttention
    attention.in_proj = layer.train(attention.training)
    attention._qkv_same_embed_dim = False  # so that layers around it do not fuse it


def closed(model: nn.Module) -> nn.Module:
    """The model with the original attention wherever it can have these widths, in place.

    It stays open in a layer whose norms leave channels out, which torch would fuse without a look
    at the classes of its norms.
    """
    modules = list(model.modules())
    stay = {
        layer.self_attn
        for layer in modules
        if isinstance(layer, nn.TransformerEncoderLayer)
        and any(hasattr(norm, "kept_channels") for norm in layer.children())
    }
    for module in modules:
        if module in stay:
            continue
        if type(module) is OpenAttention and _fits(module.in_proj, module.out_proj):
            _close(module)
        elif type(module) is OpenWindowAttention and _fits(module.qkv, module.proj):
            heads, module.__class__ = module.num_heads, module.original
            del module.original, module.head_dim
            module.num_heads = heads
    return model


def _fits(first: nn.Linear, last: nn.Linear) -> bool:
    """Whether heads are together as wide as what they read, and all weights plain parameters."""
    # a mask of `torch.nn.utils.prune` makes a weight when its layer is called
    plain = all("weight" in layer._parameters for layer in (first, last))
    return plain and first.out_features == 3 * first.in_features and _is_square(last)


def _is_square(layer: nn.Linear) -> bool:
    return layer.in_features == layer.out_features


def _close(attention: OpenAttention) -> None:
    heads, layer = attention.num_heads, attention.in_proj
    attention.embed_dim = attention.kdim = attention.vdim = layer.in_features
    del attention.in_proj
    attention.__class__ = nn.MultiheadAttention
    attention.num_heads = heads
    own = attention._parameters
    own["in_proj_weight"], own["in_proj_bias"] = layer.weight, layer.bias
    attention._qkv_same_embed_dim = True
