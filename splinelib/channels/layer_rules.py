"""What layers do to channels: products, convolutions, norms, attention.

A weight carries fields as an input does: its rows make channels, its columns read them. So a
product ties the units along the axis that it sums over with the columns that read them, whether the
weight is a layer's own, scaled on its way (an equalised learning rate) or a bare parameter.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from .axes import by_position
from .calls import Call
from .fields import Field, Operand, along, contract, field

# The axes of a field along the rows of a weight, and along its columns or the channels of a map.
_ROWS, _COLUMNS = frozenset({0}), frozenset({1})


def product(one: str, other: str, added: str | None = None, turned: bool = False) -> Callable:
    """Matrix products; `added` names what is added, `turned` a weight that is transposed."""

    def rule(call: Call) -> None:
        left, right = call.given[one], call.given[other]
        inner = (left.ndim - 1, right.ndim - 1 if turned or right.ndim == 1 else right.ndim - 2)
        why = f"{call.said} multiplies it by a tensor that no unit makes"
        a, b = contract(call.ties, call.operand(left), call.operand(right), inner, why)
        operands = [_without(a, inner[0]), _without(b, inner[1])]
        shape = call.results[0].shape
        if right.ndim > 1:  # rows, then columns: each is spread over the other
            (rows, labels), (columns, others) = operands
            operands = [
                ((*rows, 1), [field(item.labels.unsqueeze(-1)) for item in labels]),
                _columns(columns, others, right.ndim),
            ]
        if added is not None and call.given.get(added) is not None:
            operands.append(call.operand(call.given[added]))
        call.give(call.combined(shape, operands))

    return rule


def _without(operand: Operand, axis: int) -> Operand:
    shape, fields = operand
    sizes = (*shape[:axis], *shape[axis + 1 :])
    return sizes, [field(item.labels.select(axis, 0)) for item in fields]


def _columns(sizes: Sequence[int], fields: Sequence[Field], ndim: int) -> Operand:
    if ndim == 2:
        return sizes, list(fields)
    spread = [field(item.labels.unsqueeze(-2)) for item in fields]
    return (*sizes[:-1], 1, sizes[-1]), spread


def attention(call: Call) -> None:
    """Queries, keys and values (..., heads, tokens, size): what a head has of them is one unit.

    The scale in front of the softmax follows from the size of a head, which therefore stays.
    """
    given = [call.given[key] for key in ("query", "key", "value")]
    if len({tensor.shape[:-2] for tensor in given}) > 1:
        call.mixes_all("shares keys and values among several heads")
        return
    mask = call.given.get("attn_mask", call.given.get("attn_bias"))
    operands = [_by_head(call, tensor) for tensor in given]
    owned = [item for _, fields in operands for item in fields]
    for item in owned:
        if not item.axes:
            call.mixes(item, "has one head only")
        call.ties.note_head(item.labels)
        call.ties.tie(owned[0].labels, item.labels)
    if mask is not None:
        operands.append(_by_head(call, mask))
    shape = call.results[0].shape
    passed = call.combined((*shape[:-2], 1, 1), operands)
    call.give([Field(item.labels.expand(shape), item.axes) for item in passed])


def _by_head(call: Call, tensor: Tensor) -> Operand:
    """What is one unit along the tokens and the size of a head, (..., heads, 1, 1)."""
    fields = []
    for item in call.of(tensor):
        if tensor.ndim - 2 in item.axes:
            call.mixes(item, "mixes tokens")
        else:
            labels = call.ties.level(item, {tensor.ndim - 1}).labels
            fields.append(field(labels[..., :1, :1]))
    return (*tensor.shape[:-2], 1, 1), fields


def whole_attention(call: Call) -> None:
    call.mixes_all("works on whole heads, which keep their size")


def bilinear(call: Call) -> None:
    """Each output is a product of two inputs with a matrix; both are summed over.

    torch brings the operands to the axes (rows, outputs, first, second) and sums over the last two.
    """
    given, why = call.given, f"{call.said} multiplies it by a tensor that no unit makes"
    spread = [("i1", "expand1"), ("i2", "expand2"), ("i3", "expand3")]
    wide = []
    for key, axes in spread:
        fields = []
        for item in call.of(given[key]):
            labels = item.labels
            for axis in given[axes]:
                labels = labels.unsqueeze(axis)
            fields.append(field(labels))
        wide.append(fields)
    summed = set(given["sumdim"])
    for axis in summed:
        met = [_lone(call, item, axis) for fields in wide for item in fields if axis in item.axes]
        for labels in met:
            call.ties.note_read(labels)
            call.ties.tie(met[0], labels)
        if len(met) == 1:
            call.ties.bar(met[0], why)
    passed = []
    for fields in wide:
        for item in fields:
            if item.axes & summed:
                continue
            labels = item.labels
            for axis in sorted(summed, reverse=True):
                labels = labels.select(axis, 0)
            passed.append(field(labels.expand(call.results[0].shape)))
    call.give(passed)


def embedding(call: Call) -> None:
    weight = call.given["weight"]
    for item in call.of(weight):
        if item.axes == {1}:
            labels = item.labels.select(0, 0)
            shape = call.results[0].shape
            call.give([along(labels, shape, len(shape) - 1)])
        else:
            call.mixes(item)


def convolution(call: Call) -> None:
    """A convolution reads the channels of axis 1 and makes those of its rows."""
    if _in_line(call):
        return
    given = call.given
    inputs, weight, groups = given["input"], given["weight"], given["groups"]
    reads, makes = (0, 1) if given["transposed"] else (1, 0)
    apart = [item for item in call.of(inputs) if item.axes == {0}]  # each in rows of its own
    read = [_lone(call, item, 1) for item in call.of(inputs) if item.axes != {0}]
    read = [labels for labels in read if labels is not None]
    made = _sides(call, weight, makes)
    columns = _sides(call, weight, reads)
    if groups > 1 and (given["transposed"] or not by_position(weight.shape, groups)):
        _in_blocks(call, read, made, columns)
    else:
        _at_positions(call, read, made, columns)
    shape = call.results[0].shape
    passed = [_spread(item, shape) for item in apart]
    operands = [(shape, [*(along(labels, shape, 1) for labels in made), *passed])]
    if (bias := given["bias"]) is not None:
        operands.append(_column(call.of(bias), bias.shape[0], len(shape)))
    call.give(call.combined(shape, operands))


def _in_line(call: Call) -> bool:
    """A convolution as most are, of one block, and of one field: the same in less time."""
    given = call.given
    inputs, weight, bias = given["input"], given["weight"], given["bias"]
    if given["groups"] > 1 or given["transposed"]:
        return False
    read, sides = call.of(inputs), call.of(weight)
    if len(read) != 1 or read[0].axes != _COLUMNS or len(sides) != 2:
        return False
    made, columns = sides if sides[0].axes == _ROWS else reversed(sides)
    if (made.axes, columns.axes) != (_ROWS, _COLUMNS):
        return False
    if any(item.line is None for item in (read[0], made, columns)):
        return False
    added = [] if bias is None else call.of(bias)
    if bias is not None and (len(added) != 1 or added[0].line is not made.line):
        return False
    for item in (read[0], columns):
        call.ties.note_read(item.line)
    call.ties.tie(read[0].line, columns.line)
    call.give([Field.of_line(made.line, call.results[0].shape, 1)])
    return True


def _spread(item: Field, shape: Sequence[int]) -> Field:
    """Labels along the rows of another shape."""
    labels = item.labels
    while labels.ndim > 1:
        labels = labels.select(1, 0)
    return along(labels, shape, 0)


def _lone(call: Call, item: Field, axis: int) -> Tensor | None:
    """Labels along one axis, (n,), with what differs along the others tied; None if elsewhere."""
    if item.axes and axis not in item.axes:
        call.mixes(item)
        return None
    if len(item.axes) == 1 and item.line is not None:
        return item.line
    labels = call.ties.level(item, item.axes - {axis}).labels.movedim(axis, -1)
    while labels.ndim > 1:
        labels = labels.select(0, 0)
    return labels


def _sides(call: Call, weight: Tensor, axis: int) -> list[Tensor]:
    """Labels of a weight along one of its first two axes; those of its kernel must stay."""
    found = []
    for item in call.of(weight):
        if item.axes - {0, 1}:
            call.mixes(item, "reads it as the kernel of a convolution")
        elif axis in item.axes or (not item.axes and weight.shape[axis] == 1):
            labels = _lone(call, item, axis)
            if labels is not None:
                found.append(labels)
    return found


def _at_positions(
    call: Call, read: list[Tensor], made: list[Tensor], columns: list[Tensor]
) -> None:
    """A column reads one channel of each block, and one row of each goes with the others."""
    groups = call.given["groups"]
    for labels in (*read, *columns):
        call.ties.note_read(labels)
    if not read or not columns:
        for labels in (*read, *columns):
            call.ties.bar(labels, f"{call.said} reads channels that no prunable layer makes")
    for one in read:
        for other in columns:
            call.ties.tie(one.view(groups, -1), other)
    for labels in made if groups > 1 else ():
        rows = labels.view(groups, -1)
        call.ties.tie(rows[:1], rows)


def _in_blocks(call: Call, read: list[Tensor], made: list[Tensor], columns: list[Tensor]) -> None:
    """What one block of a grouped convolution reads and makes is one unit."""
    groups = call.given["groups"]
    for labels in columns:  # an axis within the blocks, which stays as it is
        call.ties.bar(labels, f"{call.said} reads it in blocks")
    if call.given["transposed"] or not read or not made:
        why = (
            "a grouped transposed convolution"
            if call.given["transposed"]
            else "which no unit makes"
        )
        for labels in (*read, *made):
            call.ties.bar(labels, f"{call.said} reads channels in blocks, {why}")
        return
    for one in made:
        rows = one.view(groups, -1)
        call.ties.tie(rows[:, :1], rows)
        for other in read:
            call.ties.tie(rows[:, :1], other.view(groups, -1))


def batch_norm(call: Call) -> None:
    """Statistics, scale and shift of each channel for itself."""
    fields, shape = call.of(call.input), call.input.shape
    vectors = [call.of(tensor) for tensor in call.tensors[1:]]
    first = vectors[0][0] if vectors and vectors[0] else None
    one = all(len(own) == 1 and own[0] is first for own in vectors)
    if first is not None and one and len(fields) == 1 and fields[0].axes == _COLUMNS:
        line, own = fields[0].line, first.line
        if line is not None and own is not None:  # as most are
            call.ties.tie(line, own)
            call.give(fields)
            return
    operands, met = [call.operand(call.input)], []
    for tensor in call.tensors[1:]:
        fields = call.of(tensor)
        if any(_same(fields, others) for others in met):  # as all vectors of one module are
            continue
        met.append(fields)
        operands.append(_column(fields, tensor.shape[0], len(shape)))
    call.give(call.combined(shape, operands))


def _column(fields: Sequence[Field], size: int, ndim: int) -> Operand:
    """Fields of a vector that is spread along axis 1."""
    column = (size, *(1,) * (ndim - 2))
    lines = [along(item.labels if item.line is None else item.line, column, 0) for item in fields]
    return column, lines


def _same(fields: Sequence[Field], others: Sequence[Field]) -> bool:
    """Whether these are the very same numbers, so that to tie them says nothing."""
    pairs = zip(fields, others, strict=False)
    return len(fields) == len(others) and all(
        one.line is other.line is not None or _same_memory(one.labels, other.labels)
        for one, other in pairs
    )


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return (
        one.data_ptr() == other.data_ptr()
        and one.shape == other.shape
        and one.stride() == other.stride()
    )


def layer_norm(call: Call) -> None:
    """Mean and variance over the last axes mix what lies along them.

    The norm of a module is over the channels that stay, in a masked network as in a smaller one
    (`norms`); that of a function is over all that there are, so that its units must stay.
    """
    last = len(call.given["normalized_shape"])
    axes = set(range(call.input.ndim - last, call.input.ndim))
    if call.norm is not None:
        _norm_of_module(call, call.input.ndim - 1, call.norm)
        return
    for tensor in call.tensors[1:]:
        for item in call.of(tensor):
            call.mixes(item)
    passed = []
    for item in call.of(call.input):
        if item.axes & axes:
            call.mixes(item)
        else:
            passed.append(item)
    call.give(passed)


def _norm_of_module(call: Call, axis: int, channels: Tensor) -> None:
    shape = call.input.shape
    own = (shape, [along(channels, shape, axis)])
    call.give(call.combined(shape, [call.operand(call.input), own]))


def group_norm(call: Call) -> None:
    """Mixes the channels of a group; with a group for each channel it is an instance norm.

    The groups of a module's norm keep their number, so that one channel of each goes at a time.
    """
    groups = call.given["group"]
    if call.norm is not None:
        if groups < len(call.norm):
            parts = call.norm.view(groups, -1)
            call.ties.tie(parts[:1], parts)
        else:
            call.ties.bar(call.norm, f"{call.said} has as many groups as channels, and counts them")
        _norm_of_module(call, 1, call.norm)
        return
    if groups == call.given["C"]:
        batch_norm(call)
        return
    call.mixes_all()
