"""The tensors in what a model returns."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import torch

from splinelib.network.outputs import floating_tensors, is_wrapped, tensors_of


@dataclass
class Out:
    logits: torch.Tensor
    loss: torch.Tensor | None = None


class Slotted:
    __slots__ = ("inner", "unset")

    def __init__(self, inner):
        self.inner = inner


def test_tensors_are_found_however_they_are_packed():
    a, b, c = torch.zeros(1), torch.ones(2), torch.arange(3)
    Pair = namedtuple("Pair", "x y")
    assert tensors_of(a) == [a]
    assert tensors_of(None) == tensors_of(3) == tensors_of("text") == tensors_of([]) == []
    for packed in (
        (a, [b, None], {"c": c}),
        OrderedDict(out=a, aux=Pair(b, c)),
        Out(a, loss=[b, Slotted(c)]),
        [{"n": 3, "y": a}, Slotted((b, c)), 2.5],
    ):
        found = tensors_of(packed)
        assert [id(t) for t in found] == [id(a), id(b), id(c)]


def test_floating_tensors_alone():
    a, b, c = torch.zeros(1), torch.ones(2), torch.arange(3)
    assert [id(t) for t in floating_tensors((a, {"c": c}, [b]))] == [id(a), id(b)]


def test_each_tensor_once_and_circles_end():
    a = torch.zeros(1)
    loop = [a, (a,)]
    loop.append(loop)
    assert [id(t) for t in tensors_of(loop)] == [id(a)]


def test_what_stands_for_tensors_inside_torch_func_is_told_apart():
    seen = []
    torch.func.vmap(lambda row: seen.append(is_wrapped(row)) or row)(torch.zeros(2, 3))
    assert seen == [True] and not is_wrapped(torch.zeros(2))
