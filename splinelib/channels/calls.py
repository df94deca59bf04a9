"""One operation of a run, as the rules of channels see it."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import PruningError
from .fields import Field, Operand, Ties, combine

# Positions of a tensor whose labels may be laid out one by one, 8 bytes each.
LARGEST = 2**27

# What users call it, where ATen has a name of its own.
_NAMES = {"_local_scalar_dense": "item", "native_layer_norm": "layer_norm"}
_NAMES |= {"native_group_norm": "group_norm", "_softmax": "softmax"}
_NAMES |= {"_log_softmax": "log_softmax", "native_batch_norm": "batch_norm"}


def tensors_among(values: Iterable) -> list[Tensor]:
    """The tensors among arguments or results of an operation: ATen nests them in lists at most."""
    tensors: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, list | tuple):
            tensors += [item for item in value if isinstance(item, Tensor)]
    return tensors


@functools.cache
def _defaults(func: Callable) -> dict[str, object]:
    return {argument.name: argument.default_value for argument in func._schema.arguments}


def arguments_of(func: Callable, args: tuple, kwargs: dict) -> dict[str, object]:
    """What an operation is given, by the names that ATen gives them, in order; with defaults."""
    defaults = _defaults(func)
    return defaults | dict(zip(defaults, args, strict=False)) | kwargs


@dataclass
class Call:
    """One operation: what it was given, by name, and what it made.

    Attributes
    ----------
    name : str
        As ATen has it, without the underscore of in-place operations.
    func, args, kwargs
        The call itself.
    tensors, results : list of Tensor
        Those that it was given, and those that it made.
    ties : Ties
        Where a rule says what goes together and what must stay.
    of : callable
        The fields of a tensor.
    where : str, or callable that gives it
        The module that called, in words.
    strides : tuple of int
        Of the first tensor, before an operation in place that gives it others.
    norm : Tensor or None
        Channels of the module that calls, if it is a layer or group norm.
    given : dict of str to object
        All arguments by the names that ATen gives them, in order, defaults included.
    """

    name: str
    func: Callable
    args: tuple
    kwargs: dict
    tensors: list[Tensor]
    results: list[Tensor]
    ties: Ties
    of: Callable[[Tensor], Sequence[Field]]
    where: str | Callable[[], str]
    strides: tuple[int, ...] = ()
    norm: Tensor | None = None
    made: dict[int, list[Field]] = field(default_factory=dict)  # result -> its fields

    @functools.cached_property
    def given(self) -> dict[str, object]:
        return arguments_of(self.func, self.args, self.kwargs)

    @property
    def input(self) -> Tensor:
        """The first tensor."""
        return self.tensors[0]

    @property
    def said(self) -> str:
        """The operation and its place, in words."""
        name = _NAMES.get(self.name, self.name)
        return f"{name!r} in {self.where() if callable(self.where) else self.where}"

    @property
    def met(self) -> str:
        """Why units must stay that meet a tensor of the same size which no units make."""
        return f"{self.said} joins it with a tensor that no prunable layer makes"

    def combined(self, shape: Sequence[int], operands: Sequence[Operand]) -> list[Field]:
        """What operands give that are joined position by position."""
        return combine(self.ties, shape, operands, lambda: self.met)

    def give(self, fields: Sequence[Field], result: int = 0) -> None:
        """These are the fields of a result."""
        self.made[result] = list(fields)

    def mixes(self, item: Field, what: str = "mixes its channels") -> None:
        """These units must stay, because of this operation."""
        self.ties.bar(item.labels, f"{self.said} {what}")

    def mixes_all(self, what: str = "mixes its channels") -> None:
        """All units that come in must stay."""
        for tensor in self.tensors:
            for item in self.of(tensor):
                self.mixes(item, what)

    def check_memory(self, labels: Tensor) -> None:
        """Refuse to lay out more labels than a machine has room for, before it is done."""
        if labels.numel() > LARGEST:
            raise PruningError(
                f"{self.said} rearranges a tensor of {labels.numel():,} values, and to follow "
                f"their channels would take {labels.numel() * 8 / 1e9:.1f} GB; give an example of "
                "fewer rows or of smaller inputs: the groups of channels are the same"
            )

    def operand(self, tensor: Tensor) -> Operand:
        """A tensor as the algebra of fields takes it."""
        fields, shape = self.of(tensor), tuple(tensor.shape)
        if (
            not fields and tensor.layout == torch.strided
        ):  # what is expanded to others is broadcast to them, in another way
            steps = zip(shape, tensor.stride(), strict=True)
            shape = tuple(size if step else 1 for size, step in steps)
        return shape, fields
