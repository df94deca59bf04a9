"""One operation as the rules see it."""

import torch

from splinelib.channels.calls import Call, tensors_among
from splinelib.channels.fields import Ties, along

aten = torch.ops.aten


def call(func, *args, fields=(), **kwargs):
    result = func(*args, **kwargs)
    of = dict(fields)
    where = "'b' (Block)"
    name = func.overloadpacket.__name__
    return Call(
        name,
        func,
        args,
        kwargs,
        tensors_among(args),
        [result],
        Ties(),
        lambda t: of.get(id(t), []),
        where,
    )


def test_arguments_by_name_with_their_defaults():
    x, y = torch.zeros(2, 3), torch.ones(3)
    one = call(aten.add.Tensor, x, y)
    assert one.given["self"] is x and one.given["other"] is y and one.given["alpha"] == 1
    assert one.tensors == [x, y] and one.input is x


def test_words():
    x = torch.zeros(2, 3)
    one = call(aten._softmax.default, x, 1, False)
    assert one.said == "'softmax' in 'b' (Block)"
    assert one.met.startswith("'softmax' in 'b' (Block) joins it with a tensor")
    item = along(one.ties.new(3), (2, 3), 1)
    one.mixes(item)
    assert one.ties.barred[2] == "'softmax' in 'b' (Block) mixes its channels"


def test_fields_of_tensors_and_results():
    x = torch.zeros(2, 3)
    item = along(torch.arange(1, 4), (2, 3), 1)
    one = call(aten.relu.default, x, fields=[(id(x), [item])])
    assert one.operand(x) == ((2, 3), [item])
    one.give([item])
    assert one.made == {0: [item]}
    # of what no unit makes, axes along which it is expanded are as good as broadcast
    assert one.operand(torch.ones(2, 1).expand(2, 3)) == ((2, 1), [])
    assert one.operand(torch.ones(2, 3).to_sparse()) == ((2, 3), [])
