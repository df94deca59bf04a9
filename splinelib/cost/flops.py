"""Floating-point operations.

Those of one forward pass, of whatever runs inside a block, and of all phases of a training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ..network.modes import evaluating
from ..network.surroundings import undisturbed

# A training step costs a forward pass, and a backward pass that is twice as dear.
FORWARDS_PER_STEP = 3
# Early-Bird Tickets' Table 2 prints training cost in these units.
PUBLISHED_UNIT_PFLOP = 0.05


@dataclass
class FlopsLedger:
    """Training FLOPs by what they were spent on; one multiply-accumulate is 2 FLOPs.

    Attributes
    ----------
    entries : dict of str to float
        FLOPs of each phase, for example ``dense``, ``detection``, ``scoring``, ``ticket``.

    Examples
    --------
    >>> ledger = FlopsLedger()
    >>> ledger.add("dense", 2e15)
    >>> ledger.add("ticket", 1e15)
    >>> ledger.pflop, round(ledger.units)
    (3.0, 60)
    """

    entries: dict[str, float] = field(default_factory=dict)

    def add(self, entry: str, flops: float) -> None:
        """Add `flops` to an entry, which is made if it is new."""
        self.entries[entry] = self.entries.get(entry, 0.0) + float(flops)

    @property
    def total(self) -> float:
        """FLOPs of all entries."""
        return sum(self.entries.values())

    @property
    def pflop(self) -> float:
        """The total in units of 1e15 FLOPs."""
        return self.total / 1e15

    @property
    def units(self) -> float:
        """The total in the units of the published table, 0.05 PFLOP each."""
        return self.pflop / PUBLISHED_UNIT_PFLOP


@undisturbed("model")
@torch.no_grad()
def forward_flops(model: nn.Module, example: Tensor) -> int:
    """FLOPs of one forward pass per input, as PyTorch counts them: 2 per multiply-accumulate.

    Convolutions and matrix products count, those of attention and recurrent layers too, and
    products with a vector; what is done number by number (batch norm, activations, gates) does not,
    nor do softmax and pooling.

    Parameters
    ----------
    model : torch.nn.Module
        Left in the mode it was in.
    example : Tensor
        Inputs of shape (N, ...), of which the first is used.

    Examples
    --------
    >>> forward_flops(nn.Linear(8, 4), torch.zeros(1, 8))
    64
    """
    with evaluating(model), FlopCounter() as counter:
        model(example[:1].clone())
    return counter.total


def _attention(
    query: Tensor, key: Tensor, value: Tensor, embed_dim, num_head, qkv, *rest, **settings
) -> int:
    """Of a fused attention with its projections; inputs of shape (N, tokens, channels)."""
    width = qkv.shape[1]
    rows = [tensor.shape[:-1].numel() for tensor in (query, key, value, query)]
    scores = query.shape[:-1].numel() * key.shape[-2] * width
    return 2 * (sum(rows) * width**2 + 2 * scores)


def _encoder_layer(source: Tensor, embed_dim, num_heads, qkv: Tensor, *rest, **settings) -> int:
    """Of a fused layer of a transformer: attention, and two linear layers."""
    hidden = rest[10]  # the weight of the first layer behind the attention
    layers = 2 * 2 * source.shape[:-1].numel() * hidden.numel()
    return _attention(source, source, source, embed_dim, num_heads, qkv) + layers


def recurrent(source: Tensor, weights: Sequence[Tensor]) -> int:
    """Of recurrent layers: every matrix is read once at every place of every sequence."""
    return 2 * source.shape[:-1].numel() * sum(w.numel() for w in weights if w.dim() == 2)


def _trilinear(one, two, three, expand1, expand2, expand3, sumdim, *rest, **settings) -> int:
    """Of `torch.nn.Bilinear`, and of its way back: a term for each entry of three tensors' product.

    A term is counted as one multiply-accumulate, though two numbers are multiplied with a weight.
    """
    shapes = []
    for tensor, added in ((one, expand1), (two, expand2), (three, expand3)):
        shape = list(tensor.shape)
        for place in sorted(added):
            shape.insert(place, 1)
        shapes.append(shape)
    return 2 * torch.broadcast_shapes(*shapes).numel()


# Operations of ATen of which PyTorch knows no formula, or knows it under another name.
_ALIKE = {
    "_scaled_dot_product_flash_attention_for_cpu": "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu_backward": (
        "_scaled_dot_product_flash_attention_backward"
    ),
}
_FUSED = {
    "_native_multi_head_attention": _attention,
    "_transformer_encoder_layer_fwd": _encoder_layer,
    "mv": lambda matrix, vector: 2 * matrix.numel(),
    "addmv": lambda added, matrix, vector, **_: 2 * matrix.numel(),
    **dict.fromkeys(("dot", "vdot"), lambda one, two: 2 * one.numel()),
    "addbmm": lambda added, one, two, **_: 2 * one.numel() * two.shape[2],
    "_trilinear": _trilinear,
    "mkldnn_rnn_layer": lambda x, w1, w2, *_: recurrent(x, (w1, w2)),
    "mkldnn_rnn_layer_backward": lambda x, w1, w2, *_: 2 * recurrent(x, (w1, w2)),
    "_cudnn_rnn": lambda x, weights, *_: recurrent(x, weights),
    "_cudnn_rnn_backward": lambda x, weights, *_: 2 * recurrent(x, weights),
}


class FlopCounter(TorchDispatchMode):
    """Add up the FLOPs of what runs inside a ``with`` block, by PyTorch's own formulas.

    As `torch.utils.flop_counter.FlopCounterMode`, but without its table per module, whose hooks
    do not allow `torch.autograd.grad` inside the block, and with what it knows no formula of: the
    fused attention of a CPU and of `torch.nn.MultiheadAttention`, fused recurrent layers, bilinear
    layers, products with a vector. Matrix factorisations and sparse matrices are not counted.

    Attributes
    ----------
    total : int
        FLOPs so far.

    Examples
    --------
    >>> with FlopCounter() as counter:
    ...     _ = torch.zeros(2, 3) @ torch.zeros(3, 4)
    >>> counter.total
    48
    """

    def __init__(self):
        super().__init__()
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Otherwise PyTorch imports its compiler for our sake, which takes seconds.
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        operation = func._overloadpacket
        name = operation.__name__
        if name in _ALIKE:
            operation = getattr(torch.ops.aten, _ALIKE[name])
        if name in _FUSED:
            self.total += _FUSED[name](*args, **kwargs)
        elif (formula := flop_registry.get(operation)) is not None:
            self.total += formula(*args, **kwargs, out_val=result)
        return result
