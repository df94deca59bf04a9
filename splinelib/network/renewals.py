"""Which elements of a tensor were changed through another tensor of the same memory.

Two slices of one tensor have their strides in common, and the elements that both have are a slice
of each: that is worked out from sizes and offsets alone. Of other views of the same memory, such as
one with its axes divided otherwise, the place of every element is looked up.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .memory import storage_of


class Renewal(NamedTuple):
    """Elements that two tensors share, by where they are in a row of each.

    Attributes
    ----------
    where : tuple of slice, or Tensor of bool, shape (elements of a row,)
        In the tensor whose elements were changed: along all axes but the first, or of its rows laid
        out flat.
    source : tuple of slice, or Tensor of int64, of that shape
        In the tensor through which they were: slices as well, or which element each of them is; 0
        for those that were not changed.
    """

    where: tuple[slice, ...] | Tensor
    source: tuple[slice, ...] | Tensor

    @property
    def changes(self) -> bool:
        """Whether any element was changed."""
        if isinstance(self.where, Tensor):
            return bool(self.where.any())
        return _holds(self.where)


_NOTHING = Renewal((slice(0, 0),), (slice(0, 0),))


def positions(tensor: Tensor) -> Tensor | None:
    """The place of every element in the tensor's memory, int64, of the tensor's shape."""
    storage = storage_of(tensor)
    if storage is None:
        return None
    places = torch.arange(storage.nbytes() // tensor.element_size(), device=tensor.device)
    return places.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())


def renewal(old: Tensor, changed: Tensor) -> Renewal | None:
    """Which elements of a tensor were changed through another tensor of the same memory.

    Parameters
    ----------
    old, changed : Tensor, shapes (N, ...)
        Each row of `changed` may lie in the same row of `old` only.

    Returns
    -------
    Renewal or None
        None where rows cannot be told apart.
    """
    if old.dtype != changed.dtype or not old.dim() or not changed.dim():
        return None
    if len(old) != len(changed) or storage_of(old) is None or storage_of(changed) is None:
        return None
    if not old.numel() or not changed.numel():
        return _NOTHING
    boxes = _boxes(old, changed)
    if boxes is None:
        return _of_first_rows(old, changed) or _listed(old, changed)
    if not _holds(boxes[0]):
        return _NOTHING
    (rows, *where), (others, *source) = boxes
    # else a row of one holds elements of another row of the other
    return Renewal(tuple(where), tuple(source)) if rows == others else None


def renewed(old: Tensor, changed: Tensor, plan: Renewal) -> Tensor:
    """A tensor of which some elements were changed through another one; see `renewal`."""
    where, source = plan
    if isinstance(where, tuple):
        new = old.clone()
        new[(slice(None), *where)] = changed[(slice(None), *source)]
        return new
    new, rows = changed.reshape(len(changed), -1), old.reshape(len(old), -1)
    return torch.where(where, new[:, source], rows).reshape(old.shape)


def _holds(box: Sequence[slice]) -> bool:
    """Whether a slice along every axis leaves any element."""
    return all(part.start < part.stop for part in box)


def _boxes(old: Tensor, changed: Tensor) -> tuple[list[slice], list[slice]] | None:
    """The elements that two slices of one tensor have in common, in each; None for other views.

    A place in memory is a sum of strides, each as often as the element's coordinate says. Where no
    stride can be reached by the smaller ones in the part that both tensors span, it is so in one
    way only, and the tensors share what their ranges of each coordinate share.
    """
    strides = _common_strides(old, changed)
    if strides is None:
        return None
    starts, others = (_coordinates(t.storage_offset(), strides) for t in (old, changed))
    if starts is None or others is None:
        return None
    reached, boxes = 1, ([slice(0, 0)] * old.dim(), [slice(0, 0)] * old.dim())
    for axis in sorted(range(old.dim()), key=strides.__getitem__):
        first, second = starts[axis], others[axis]
        ends = first + old.shape[axis], second + changed.shape[axis]
        spanned = max(ends) - min(first, second)
        if spanned > 1:
            if strides[axis] < reached:
                return None
            reached = strides[axis] * spanned
        low, high = max(first, second), max(min(ends), first, second)
        boxes[0][axis] = slice(low - first, high - first)
        boxes[1][axis] = slice(low - second, high - second)
    return boxes


def _common_strides(old: Tensor, changed: Tensor) -> list[int] | None:
    """Along each axis, the stride of both; that of an axis of one element says nothing."""
    if old.dim() != changed.dim():
        return None
    strides = []
    for axis in range(old.dim()):
        said = {t.stride(axis) for t in (old, changed) if t.shape[axis] > 1} or {0}
        if len(said) > 1:
            return None
        strides += said
    return strides


def _coordinates(place: int, strides: list[int]) -> list[int] | None:
    """How often each stride goes into a place in memory, the largest first."""
    found = [0] * len(strides)
    for axis in sorted(range(len(strides)), key=strides.__getitem__, reverse=True):
        if strides[axis]:
            found[axis], place = divmod(place, strides[axis])
    return found if place == 0 else None


def _extent(row: Tensor) -> tuple[int, int]:
    """The first place in memory that a tensor takes, and the one behind its last."""
    last = sum(step * (size - 1) for step, size in zip(row.stride(), row.shape, strict=True))
    return row.storage_offset(), row.storage_offset() + last + 1


def _of_first_rows(old: Tensor, changed: Tensor) -> Renewal | None:
    """`renewal` by the first rows, if all others lie to each other as these; else None.

    So it is if both step from row to row alike, over all of what their first rows span.
    """
    starts, ends = zip(_extent(old[0]), _extent(changed[0]), strict=True)
    start, spanned = min(starts), max(ends) - min(starts)
    if len(old) > 1 and not old.stride(0) == changed.stride(0) >= spanned:
        return None
    places = torch.arange(spanned, device=old.device)
    there, here = (
        places.as_strided(row.shape, row.stride(), row.storage_offset() - start).reshape(-1)
        for row in (old[0], changed[0])
    )
    table = torch.full_like(places, -1)
    table[here] = torch.arange(len(here), device=old.device)
    source = table[there]
    return Renewal(source >= 0, source.clamp_(min=0))


def _listed(old: Tensor, changed: Tensor) -> Renewal | None:
    """`renewal`, row by row."""
    there, here = (positions(t).reshape(len(old), -1).contiguous() for t in (old, changed))
    mask, source = [], []
    for row, places in enumerate(there):
        order = here[row].argsort()
        at = torch.searchsorted(here[row][order], places).clamp(max=here.shape[1] - 1)
        hit = here[row][order][at] == places
        foreign = torch.isin(places, torch.cat([here[:row], here[row + 1 :]]))
        if foreign.any():
            return None
        mask.append(hit)
        source.append(torch.where(hit, order[at], 0))
    if any((m != mask[0]).any() for m in mask) or any((s != source[0]).any() for s in source):
        return None
    return Renewal(mask[0], source[0])
