"""Affine nodes without their constants, and on sizes: numbers among their arguments included."""

import pytest
import torch

from splinelib.network.linear_parts import absolute, without_constants
from splinelib.network.trace import record


class Calls(torch.nn.Module):
    """One call of the input."""

    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, x):
        return self.call(x)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x * -2.0,
        lambda x: x / -4,
        lambda x: 3 - x,
        lambda x: x - 3,
        lambda x: torch.add(x, x, alpha=-3),
        lambda x: torch.sub(x, x, alpha=2),
        lambda x: torch.rsub(x, 0.5, alpha=-2),
        lambda x: torch.rsub(x, torch.tensor([0.5, -1.0]), alpha=3),
        lambda x: x @ torch.tensor([[1.0, -1.0], [-2.0, 0.5]]),
        lambda x: torch.diff(x),
        lambda x: torch.diff(x, n=2, dim=1, append=x),
    ],
)
def test_sizes_are_never_below_what_signs_make(call):
    (node,) = record(Calls(call), torch.zeros(1, 2)).nodes
    x = torch.rand(50, 2) * torch.tensor([1.0, -1.0])
    env, sizes = {0: x}, {0: x.abs()}
    node.run(env, 50)
    absolute(node).run(sizes, 50)
    (out,) = node.outputs
    assert (sizes[out].abs() >= env[out].abs() - 1e-6).all()
    zero = {0: torch.zeros(1, 2)}
    without_constants(node).run(zero, 1)
    assert not zero[out].any()


@pytest.mark.parametrize("size", [3, 7, 16])
def test_sizes_behind_an_interpolation_with_negative_weights(size):
    """As large as the weights' absolute values make them, which a checkerboard shows."""

    def enlarged(x):
        return torch.nn.functional.interpolate(x, size=size, mode="bicubic")

    (node,) = record(Calls(enlarged), torch.zeros(1, 1, 5, 5)).nodes
    rows = torch.autograd.functional.jacobian(enlarged, torch.zeros(1, 1, 5, 5))
    sizes = {0: torch.ones(1, 1, 5, 5)}
    absolute(node).run(sizes, 1)
    terms = rows.abs().flatten(-3).sum(-1)
    assert (sizes[node.outputs[0]] >= terms).all() and terms.max() > 1.1
