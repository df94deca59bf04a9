"""What the operations of torch that are no layers do to the channels of their inputs.

Each rule is about an operation of ATen, to which every module, function and method comes down. What
moves positions moves the labels by the very same operation. What works position by position ties
them. What mixes channels fixes the units that it mixes.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from .calls import Call
from .fields import Field, Operand, combine, field

_NONE = torch.zeros(1, dtype=torch.long)  # the label of what no channel makes


def unknown(call: Call) -> None:
    """Fix every unit that comes in."""
    call.mixes_all("may mix its channels: splinelib does not know this operation")


def emptied(call: Call) -> None:
    """Nothing can be seen where there are no rows, such as a detector that finds no boxes."""
    call.mixes_all("has no rows to work on: give an example in which it has")


def together(call: Call) -> None:
    if len(call.tensors) == 1 and call.results[0].shape == call.input.shape:
        fields = call.of(call.input)
        if len(call.results) == 1 and len(fields) == 1:  # as most activations
            call.give(fields)
            return
    for index, result in enumerate(call.results):
        if all(_fits(tensor.shape, result.shape) for tensor in call.tensors):
            operands = [call.operand(tensor) for tensor in call.tensors]
            call.give(call.combined(result.shape, operands), index)
        elif result.numel():
            unknown(call)


def _fits(small: Sequence[int], large: Sequence[int]) -> bool:
    pairs = zip(reversed(small), reversed(large), strict=False)
    return len(small) <= len(large) and all(a in (1, b) for a, b in pairs)


def same(call: Call) -> None:
    for index, result in enumerate(call.results):
        if result.shape == call.input.shape:
            call.give(call.of(call.input), index)


def strided(call: Call) -> None:
    """``as_strided``: fine where it gives what was there, as pooling does for its own."""
    size, strides = tuple(call.given["size"]), tuple(call.given["stride"])
    alike = len(strides) == len(call.strides) and all(
        width == 1 or new == old
        for width, new, old in zip(size, strides, call.strides, strict=True)
    )
    if alike and all(item.labels.shape == size for item in call.of(call.input)):
        same(call)
    else:
        unknown(call)


def nothing(call: Call) -> None:
    """The result holds nothing of the input but its size or type."""


def move(call: Call) -> None:
    _move(call, call.of(call.input))


def _move(call: Call, fields: Sequence[Field]) -> None:
    for item in fields:
        moved = _moved(call, item.labels)
        for index, labels in enumerate(moved):
            call.made.setdefault(index, []).append(field(labels))


def pad(call: Call) -> None:
    """Padding with a constant: beside the units it puts none, along other axes it widens them."""
    given = list(call.given["pad"])
    for item in call.of(call.input):
        labels, widths = item.labels, []
        for at in range(len(given) // 2):
            axis = labels.ndim - 1 - at
            if axis in item.axes:
                widths += given[2 * at : 2 * at + 2]
            else:
                labels, widths = labels.narrow(axis, 0, 1), [*widths, 0, 0]
        padded = torch.constant_pad_nd(labels, widths, 0)
        call.made.setdefault(0, []).append(field(padded.expand(call.results[0].shape)))


def _moved(call: Call, labels: Tensor) -> list[Tensor]:
    values = dict(list(call.given.items())[1:])
    if call.func._schema.returns[0].alias_info is None:  # no view
        call.check_memory(labels)
    try:
        moved = call.func(labels, **values)
    except (NotImplementedError, RuntimeError):  # not for whole numbers
        moved = call.func(labels.double(), **values)
    moved = moved if isinstance(moved, tuple | list) else [moved]
    return [labels.round().long() if labels.is_floating_point() else labels for labels in moved]


def view(call: Call) -> None:
    shape = call.results[0].shape
    if call.results[0].numel() != call.input.numel():  # other bytes, read as another type
        unknown(call)
        return
    call.give([field(_viewed(call, item.labels, shape)) for item in call.of(call.input)])


def _viewed(call: Call, labels: Tensor, shape: Sequence[int]) -> Tensor:
    try:
        return labels.view(shape)
    except RuntimeError:  # expanded axes become one with others
        call.check_memory(labels)
        return labels.reshape(shape)


def _axes(call: Call, tensor: Tensor, key: str = "dim") -> set[int]:
    given = call.given.get(key)
    if given is None or given == []:
        return set(range(tensor.ndim))
    given = given if isinstance(given, list | tuple) else [given]
    return {axis % max(tensor.ndim, 1) for axis in given}


def reduce(call: Call) -> None:
    """Sums, means, extremes, softmax, sorting: along some axes all positions are mixed."""
    axes = _axes(call, call.input)
    passed = []
    for item in call.of(call.input):
        mixed = item.axes & axes
        if mixed and item.axes <= axes and _adds_up(call):
            call.ties.note_read(item.labels)  # a silent unit adds 0, unless the trial shows more
        elif mixed and item.axes <= axes:
            call.mixes(item)
        else:
            passed.append(call.ties.level(item, mixed))
    for index, result in enumerate(call.results):
        call.give([_shrunk(item, axes, result) for item in passed], index)


def _adds_up(call: Call) -> bool:
    """Whether it is a sum, be it of powers."""
    if call.name == "linalg_vector_norm":
        return call.given["ord"] >= 0
    return call.name in {"sum", "nansum"}


def _shrunk(item: Field, axes: set[int], result: Tensor) -> Field:
    labels = item.labels
    for axis in sorted(axes, reverse=True):
        gone = result.ndim < item.labels.ndim
        labels = labels.select(axis, 0) if gone else labels.narrow(axis, 0, 1)
    return field(labels.expand(result.shape))


def cut(call: Call, item: Field, axis: int, sizes: Sequence[int]) -> None:
    """The units lie along an axis that is cut into parts of these sizes.

    Equal parts (the halves of a gated layer) stay equal if the units go that lie at one place in
    each of them. Other parts would be cut elsewhere once a unit is gone.
    """
    if axis not in item.axes or len(sizes) < 2:
        return
    if len(set(sizes)) > 1:
        places = ", ".join(map(str, sizes))
        call.mixes(item, f"cuts its channels into parts of fixed sizes ({places})")
        return
    parts = item.labels.unflatten(axis, (len(sizes), sizes[0]))
    call.ties.tie(parts.narrow(axis, 0, 1), parts)


def split(call: Call) -> None:
    axis = call.given.get("dim", 0) % call.input.ndim
    one = call.name == "unbind"  # whose parts do not have that axis any more
    sizes = [1 if one else result.shape[axis] for result in call.results]
    for item in call.of(call.input):
        cut(call, item, axis, sizes)
    move(call)


def part(call: Call) -> None:
    axis = call.given.get("dim", 0) % call.input.ndim
    size, taken = call.input.shape[axis], 1
    start, step = call.given.get("start"), call.given.get("step", 1)
    if call.name == "select":
        start, step = call.given["index"], 1
    else:
        taken = call.results[0].shape[axis]
    start = 0 if start is None else min(max(start + size * (start < 0), 0), size)
    for item in call.of(call.input):
        if axis not in item.axes or (taken == size and step == 1):
            continue
        if step > 1 and size % step == 0 and taken == size // step:
            _blocks(call, item, axis, step)
        elif taken and step == 1 and size % taken == 0 and start % taken == 0:
            cut(call, item, axis, [taken] * (size // taken))
        else:
            end = start + (taken - 1) * step + 1
            call.mixes(item, f"takes channels {start} to {end - 1} of {size}, by number")
    move(call)


def _blocks(call: Call, item: Field, axis: int, width: int) -> None:
    """So many units that stand side by side go together."""
    blocks = item.labels.unflatten(axis, (-1, width))
    call.ties.tie(blocks.narrow(axis + 1, 0, 1), blocks)


def glu(call: Call) -> None:
    axis = call.given.get("dim", -1) % call.input.ndim
    half = call.input.shape[axis] // 2
    for item in call.of(call.input):
        cut(call, item, axis, [half, half])
    halves = [field(item.labels.narrow(axis, 0, half)) for item in call.of(call.input)]
    call.give(halves)


def pixel_shuffle(call: Call) -> None:
    """Blocks of r * r channels become one; they go together."""
    factor = call.given["upscale_factor"] ** 2
    axis = call.input.ndim - 3
    for item in call.of(call.input):
        if axis in item.axes:
            _blocks(call, item, axis, factor)
    move(call)


def channel_shuffle(call: Call) -> None:
    groups = call.given["groups"]
    for item in call.of(call.input):
        cut(call, item, 1, [call.input.shape[1] // groups] * groups)
    move(call)


def roll(call: Call) -> None:
    axes = _axes(call, call.input, "dims")
    for item in call.of(call.input):
        if item.axes & axes:
            call.mixes(item, "shifts its channels by a fixed number")
    move(call)


def im2col(call: Call) -> None:
    """Patches: the channels stay apart, each at every place of the kernel."""
    kernel = call.given["kernel_size"]
    for item in call.of(call.input):
        if item.axes - {item.labels.ndim - 3}:
            call.mixes(item)
            continue
        narrow = item.labels.narrow(-1, 0, 1).narrow(-2, 0, 1)
        wide = narrow.expand(*narrow.shape[:-2], *kernel).double()
        patches = torch.ops.aten.im2col(wide, kernel, [1, 1], [0, 0], [1, 1]).round().long()
        call.made.setdefault(0, []).append(field(patches.expand(call.results[0].shape)))


def concatenate(call: Call) -> None:
    shape = list(call.results[0].shape)
    axis = call.given.get("dim", 0) % len(shape)
    if call.name == "stack":
        operands = [_stacked(call, tensor, axis) for tensor in call.tensors]
    else:  # an empty tensor of one axis joins whatever it is given
        operands = [call.operand(t) for t in call.tensors if t.ndim == len(shape)]
    call.give([*_crossing(call, shape, axis, operands), *_joined(axis, operands)])


def _stacked(call: Call, tensor: Tensor, axis: int) -> Operand:
    shape = (*tensor.shape[:axis], 1, *tensor.shape[axis:])
    return shape, [field(item.labels.unsqueeze(axis)) for item in call.of(tensor)]


def _crossing(call: Call, shape: list[int], axis: int, operands: list[Operand]) -> list[Field]:
    """Fields of units that lie along other axes than the one that grows: they are tied."""
    flat = [1 if a == axis else size for a, size in enumerate(shape)]
    crossing = [
        (
            flat,
            [
                Field(item.labels.narrow(axis, 0, 1), item.axes)
                for item in fields
                if axis not in item.axes and item.axes
            ],
        )
        for _, fields in operands
    ]
    return [Field(item.labels.expand(shape), item.axes) for item in call.combined(flat, crossing)]


def _joined(axis: int, operands: list[Operand]) -> list[Field]:
    """Fields of units along the axis that grows: they stand one behind the other."""
    each = [
        [f.labels for f in fields if axis in f.axes or (not f.axes and shape[axis] == 1)]
        for shape, fields in operands
    ]
    joined = []
    for at in range(max(map(len, each), default=0)):
        parts = [
            labels[at] if at < len(labels) else _NONE.expand(tuple(shape))
            for labels, (shape, _) in zip(each, operands, strict=True)
        ]
        joined.append(field(torch.cat(parts, axis)))
    return joined


def channelwise(call: Call) -> None:
    """Pooling and resampling: the channels before the axes of space stay, those are mixed."""
    found = re.search(r"([123])d", call.name)
    width = int(found[1]) if found else 2
    ndim = call.input.ndim
    space = set(range(ndim - width, ndim))
    for tensor in call.tensors[1:]:
        for item in call.of(tensor):
            call.mixes(item)
    passed = []
    for item in call.of(call.input):
        if item.axes and item.axes <= space:
            call.mixes(item)
            continue
        # boxes are cut out of any of the rows, all else is done for each row by itself
        mixed = item.axes & ({0, *space} if call.name.startswith("roi") else space)
        labels = call.ties.level(item, mixed).labels
        for axis in sorted(set(range(ndim)) - (item.axes - mixed)):
            labels = labels.narrow(axis, 0, 1)
        passed.append(labels)
    for index, result in enumerate(call.results):
        call.give([field(labels.expand(result.shape)) for labels in passed], index)


def index(call: Call) -> None:
    """Rows picked by an index: fine as long as no unit lies along what is indexed."""
    indices = call.given.get("indices")
    if indices is None:
        axes = {call.given["dim"] % call.input.ndim}
    else:
        axes, axis = set(), 0
        for index in indices:
            width = index.ndim if index is not None and index.dtype == torch.bool else 1
            axes |= set(range(axis, axis + width)) if index is not None else set()
            axis += width
    passed = []
    for item in call.of(call.input):
        if item.axes & axes:  # where they go to, any of them may stand beside others: no unit does
            call.mixes(item, "picks its channels by their number")
        else:
            passed.append(item)
    for item in (f for t in call.tensors[1:] for f in call.of(t)):
        call.mixes(item)
    _move(call, passed)


def copy(call: Call) -> None:
    """``copy_``: a whole tensor is written over; into a part, only what the part holds already."""
    target, source = call.given["self"], call.given["src"]
    whole = target.numel() * target.element_size() == target.untyped_storage().nbytes()
    met = f"{call.said} writes it to a fixed place"
    operands = [call.operand(source)]
    if call.of(target) or not whole:
        operands.append(call.operand(target))
    call.give(combine(call.ties, target.shape, operands, met))
