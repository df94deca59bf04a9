"""Which unit each position of a tensor comes from, and which units are thereby tied.

A *channel* is a row or a column of a layer, a channel of a norm, an index along an axis of any
other parameter. Channels are numbered through the whole network; number 0 stands for what no
channel makes and never goes. A `Field` gives the channel of every position of one tensor. A tensor
may carry several: in an MLP-Mixer the channels lie along one axis and the tokens, which a linear
layer makes as well, along another. `Ties` collects what has to go together, and what must stay.

Nothing here knows the operations of torch: `rules` says what each does to fields.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

_LONG = 4096  # ties at once from which on each is noted once


class Field:
    """The channel of each position of a tensor.

    Attributes
    ----------
    labels : Tensor of int64, with the shape of the tensor
        Expanded (stride 0) along every axis along which it is constant, so that it takes next to
        no memory.
    axes : frozenset of int
        The axes along which it varies.
    line : Tensor, shape (n,), or None
        The channels along the axis, where it varies along a single one.
    """

    # Most fields vary along a single axis, and of most of these nobody looks at all positions.
    __slots__ = ("_labels", "_line", "_shape", "axes")

    def __init__(self, labels: Tensor, axes: frozenset[int]):
        self._labels, self._line, self._shape = labels, None, labels.shape
        self.axes = axes

    @classmethod
    def of_line(cls, line: Tensor, shape: Sequence[int], axis: int) -> "Field":
        """The field that varies along one axis of this shape; line (n,), n > 1."""
        made = cls.__new__(cls)
        made._labels, made._line, made._shape = None, line, tuple(shape)
        made.axes = frozenset((axis,))
        return made

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return self._shape

    @property
    def labels(self) -> Tensor:
        if self._labels is None:
            (axis,) = self.axes
            view = [1] * len(self._shape)
            view[axis] = len(self._line)
            self._labels = self._line.view(view).expand(self._shape)
        return self._labels

    @property
    def line(self) -> Tensor | None:
        if self._line is None and len(self.axes) == 1 and self._labels.numel():
            (axis,) = self.axes
            place = (slice(None) if at == axis else 0 for at in range(len(self._shape)))
            self._line = self._labels[tuple(place)]
        return self._line


def field(labels: Tensor) -> Field:
    """The field of these labels, expanded where they are constant."""
    shape, axes = labels.shape, []
    for axis in range(labels.ndim):
        if shape[axis] == 1:
            continue
        if labels.stride(axis) == 0:
            labels = labels.narrow(axis, 0, 1)
            continue
        first = labels.narrow(axis, 0, 1)
        if torch.equal(first.expand_as(labels), labels):
            labels = first
        else:
            axes.append(axis)
    return Field(labels.expand(shape), frozenset(axes))


def along(labels: Tensor, shape: Sequence[int], axis: int) -> Field:
    """The field of a tensor of this shape whose channels lie along one axis; labels (n,)."""
    if labels.shape[0] > 1:
        return Field.of_line(labels, shape, axis)
    return Field(labels.view([1] * len(shape)).expand(tuple(shape)), frozenset())


class Ties:
    """What goes together and what must stay, collected while a network runs."""

    def __init__(self):
        self.count = 1
        self.left: list[Tensor] = []
        self.right: list[Tensor] = []
        # channel -> why it must stay; the first reason stands
        self.barred = {0: "it is joined with channels that no prunable layer makes"}
        self.read: list[Tensor] = []  # channels that a product sums over
        self.attending: list[Tensor] = []  # channels of heads of attention

    def new(self, size: int) -> Tensor:
        """Numbers for so many new channels, (size,)."""
        self.count += size
        return torch.from_numpy(np.arange(self.count - size, self.count))

    def bar(self, labels: Tensor, why: str) -> None:
        """These must stay."""
        for channel in np.unique(_flat(labels).numpy()).tolist():
            self.barred.setdefault(channel, why)

    def tie(self, one: Tensor, other: Tensor) -> None:
        """Position by position, these go together. The shapes broadcast."""
        if one is other:
            return
        if one.shape != other.shape:
            one, other = torch.broadcast_tensors(one, other)
        if one.ndim != 1:
            steps = list(zip(one.stride(), other.stride(), strict=True))
            if one.data_ptr() == other.data_ptr() and all(a == b for a, b in steps):
                return
            first = tuple(slice(None) if a or b else 0 for a, b in steps)
            one, other = one[first].flatten(), other[first].flatten()
        if one.shape[0] > _LONG:  # large fields repeat themselves, and meet themselves
            pairs = np.unique(one.numpy() * self.count + other.numpy())
            one, other = (torch.from_numpy(side) for side in np.divmod(pairs, self.count))
        self.left.append(one)
        self.right.append(other)

    def level(self, item: Field, axes) -> Field:
        """Tie what differs along these axes, so that the field is constant there."""
        if item.axes.isdisjoint(axes):
            return item
        labels, left = item.labels, item.axes
        for axis in sorted(left & set(axes)):
            first = labels.narrow(axis, 0, 1)
            self.tie(first, labels)
            labels = first
            left = left - {axis}
        return Field(labels.expand(item.shape), left)

    def note_read(self, labels: Tensor) -> None:
        """These are summed over, so that they can go without a trace."""
        self.read.append(_flat(labels))

    def note_head(self, labels: Tensor) -> None:
        """These belong to heads of attention."""
        self.attending.append(_flat(labels))

    def components(self) -> np.ndarray:
        """Number of the connected component of each channel."""
        from scipy.sparse import coo_array  # a tenth of what importing the library takes
        from scipy.sparse.csgraph import connected_components

        left, right = (flattened(side) for side in (self.left, self.right))
        apart = left != right
        left, right = left[apart], right[apart]
        ties = coo_array((np.ones(len(left)), (left, right)), shape=(self.count, self.count))
        return connected_components(ties, directed=False)[1]


def flattened(labels: Sequence[Tensor]) -> np.ndarray:
    """All channels of these (n,), one behind the other."""
    return torch.cat(list(labels)).numpy() if labels else np.empty(0, np.int64)


def _flat(labels: Tensor) -> Tensor:
    """All labels, without the axes along which they are expanded, (n,)."""
    for axis in range(labels.ndim) if labels.ndim > 1 else ():
        if labels.stride(axis) == 0 and labels.shape[axis] > 1:
            labels = labels.narrow(axis, 0, 1)
    return labels if labels.ndim == 1 else labels.flatten()


Operand = tuple[Sequence[int], Sequence[Field]]  # shape and fields of a tensor


def combine(
    ties: Ties, shape: Sequence[int], operands: Sequence[Operand], why: str | Callable[[], str]
) -> list[Field]:
    """What an operation gives that works position by position on tensors that broadcast.

    Units that meet at a position are tied. A unit that meets a position that no unit makes must
    stay, unless the other tensor is broadcast there: a map of one channel scales them all, and
    does not mind how many there are.

    Parameters
    ----------
    ties : Ties
    shape : sequence of int
        Of the result.
    operands : sequence of (shape, fields)
    why : str, or callable that gives it
        The reason for what must stay.
    """
    shape = tuple(shape)
    if (met := _in_line(ties, shape, operands)) is not None:
        return [met]
    why = why() if callable(why) else why
    wide = [_broadcast(ties, shape, operand) for operand in operands]
    result: list[Field] = []
    tied: set[int] = set()  # fields that are tied to the one of the result along the same axes
    for at, (_, fields) in enumerate(wide):
        for item in fields:
            for there, (sizes, others) in enumerate(wide):
                if there == at or not any(sizes[axis] > 1 for axis in item.axes):
                    continue
                met = [other for other in others if other.axes & item.axes]
                if not met:
                    ties.bar(item.labels, why)
                elif there > at:  # the pair is met twice
                    for other in met:
                        if id(item) in tied and id(other) in tied and item.axes == other.axes:
                            continue
                        ties.tie(item.labels, other.labels)
            if not any(kept.axes == item.axes for kept in result):
                result.append(item)
                alike = (o for _, others in wide[at + 1 :] for o in others)
                tied |= {id(other) for other in alike if other.axes == item.axes}
    return result


def _in_line(ties: Ties, shape: tuple[int, ...], operands: Sequence[Operand]) -> Field | None:
    """What all of them give that have one field each, along one and the same axis.

    This is how most layers meet, and says what `combine` says in a fraction of its time.
    """
    first: Field | None = None
    axis = 0
    for sizes, fields in operands:
        if len(fields) != 1 or len(fields[0].axes) != 1:
            return None
        (item,) = fields
        (at,) = item.axes
        at += len(shape) - len(sizes)
        if first is None:
            first, axis = item, at
        elif at != axis:
            return None
    if first is None or any((field.line is None) for _, (field,) in operands):
        return None
    for _, (item,) in operands[1:]:
        ties.tie(first.line, item.line)
    return first if first.shape == shape else Field.of_line(first.line, shape, axis)


def _broadcast(ties: Ties, shape: tuple[int, ...], operand: Operand) -> Operand:
    """An operand in the axes of the result; a lone unit that is spread over others must stay."""
    sizes, fields = operand
    lacking = len(shape) - len(sizes)
    sizes = (*(1,) * lacking, *sizes)
    spread = any(size == 1 < full for size, full in zip(sizes, shape, strict=True))
    wide = []
    for item in fields:
        if not item.axes and spread:
            ties.bar(item.labels, "it has one channel only, which others share")
        else:
            axes = frozenset(axis + lacking for axis in item.axes)
            wide.append(Field(item.labels.expand(shape), axes))
    return sizes, wide


def contract(ties: Ties, one: Operand, other: Operand, axes: tuple[int, int], why: str) -> tuple:
    """The operands of a product that sums over one axis of each, with that axis of size 1.

    The units along the two axes are tied: each makes one term of the sum. Axis 0 of two tensors of
    three axes counts the products; along all others the units of a term are tied with each other.
    Where each product of two such tensors has units of its own, as queries and keys of several
    heads have, all terms of one product are one unit, and the product itself is what it makes.
    """
    pairs = list(zip((one, other), axes, strict=True))
    own = all(
        len(shape) == 3 and any({0, axis} <= item.axes for item in fields)
        for (shape, fields), axis in pairs
    )
    summed, kept = [], []
    for (shape, fields), axis in pairs:
        shared = {0} if len(shape) == 3 else set()
        here = [item for item in fields if axis in item.axes]
        stay = shared if own else {axis} | shared
        level = [ties.level(item, set(range(len(shape))) - stay) for item in here]
        rest = [item for item in fields if axis not in item.axes]
        if own:
            rest += level
            for item in level:
                ties.note_head(item.labels)
        sizes = tuple(1 if a == axis else size for a, size in enumerate(shape))
        kept.append((sizes, [Field(item.labels.narrow(axis, 0, 1), item.axes) for item in rest]))
        summed.append([_front(item.labels, axis, bool(shared)) for item in level])
    for labels in (*summed[0], *summed[1]):
        ties.note_read(labels)
    if not summed[0] or not summed[1]:
        for labels in (*summed[0], *summed[1]):
            ties.bar(labels, why)
    for left in summed[0]:
        for right in summed[1]:
            ties.tie(left, right)
    return tuple(kept)


def _front(labels: Tensor, axis: int, products: bool) -> Tensor:
    """Labels along the axis that is summed over, (n,), or (products, n)."""
    labels = labels.movedim(axis, -1)
    while labels.ndim > 1 + products:
        labels = labels.select(int(products), 0)
    return labels
