"""Layers that say something else where inputs change by a rounding."""

import torch
from torch import nn

from splinelib.channels.choices import Choices, says
from splinelib.channels.jumps import jumping
from splinelib.channels.saying import said_by
from splinelib.network.inputs import Inputs


class Ordered(nn.Module):
    """Rows in the order of a number by which rounding ranks them, or of one that all but ties."""

    def __init__(self, apart):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(3, 2)
        self.apart = apart

    def forward(self, x):
        h = self.b(torch.relu(self.a(x)))
        order = (x.mean(1) + self.apart * torch.arange(len(x))).argsort()
        return self.c(h[order])


def test_what_is_behind_a_near_tie_jumps_and_nothing_else():
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    inputs = Inputs((x - x.mean(1, keepdim=True),))  # sums of 0 but for rounding
    for apart, found in ((1.0, set()), (0.0, {"c", ""})):
        net = Ordered(apart)
        said = said_by(net, inputs)
        assert jumping(net, inputs, said, said) == found
        fewer = said | {"": [said[""][0][:5]]}  # which no rounding does
        assert jumping(net, inputs, said, fewer) == found - {""}
    with Choices() as noted:
        net(*inputs.args)
    said = says(net, inputs, Choices(noted))
    # rows in one order: only that by which they would be ranked is rounding alone
    assert jumping(net, inputs, said, said, lambda: Choices(noted)) == set(said) - {
        "a",
        "b",
        "c",
        "",
    }
