"""What modules say of their sizes after a cut."""

import pytest
import torch
from torch import nn

from splinelib.channels.sizes import resize_all, sizes_asked_for


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.dim, self.depth = nn.Parameter(torch.ones(6)), 6, 6


@pytest.mark.parametrize(
    ("module", "sides", "before", "left"),
    [
        (nn.Linear(6, 4), {"in": [0, 5], "out": [1]}, {"in": 6, "out": 4}, (2, 1)),
        (nn.Conv2d(6, 4, 1), {"in": [0, 5], "out": [1]}, {"in": 6, "out": 4}, (2, 1, 1)),
        (
            nn.Conv2d(6, 12, 1, groups=3),
            {"out": [0, 1, 2, 3, 8, 9, 10, 11]},
            {"out": 12},
            (4, 8, 2),
        ),
        (nn.Conv2d(6, 12, 1, groups=3), {"out": [1, 2, 5, 6, 9, 10]}, {"out": 12}, (6, 6, 3)),
        (nn.Conv2d(6, 12, 1, groups=3), {"in": [1]}, {"in": 2}, (3, 12, 3)),
        (nn.BatchNorm2d(6), {"channel": [0, 3]}, {"channel": 6}, (2,)),
        (nn.PReLU(6), {"channel": [0, 3]}, {"channel": 6}, (2,)),
        (nn.LayerNorm(6), {"channel": [0, 3]}, {"channel": 6}, ((2,),)),
        (Scaled(), {"scale:0": [0, 3], "=heads": [1]}, {"scale:0": 6, "=heads": 3}, (2, 6, 1)),
    ],
    ids=["linear", "plain", "blocks", "positions", "read", "norm", "prelu", "layernorm", "own"],
)
def test_sizes_are_those_of_what_stays(module, sides, before, left):
    kept = {role: torch.tensor(indices) for role, indices in sides.items()}
    asked_for = sizes_asked_for({"it": module}, {"it": kept})
    assert asked_for.get("it", {}).items() <= before.items()
    resize_all({"it": module}, {"it": kept}, asked_for)
    names = {
        nn.Linear: ("in_features", "out_features"),
        nn.Conv2d: ("in_channels", "out_channels", "groups")[: len(left)],
        nn.BatchNorm2d: ("num_features",),
        nn.PReLU: ("num_parameters",),
        nn.LayerNorm: ("normalized_shape",),
        Scaled: ("dim", "depth", "heads"),
    }[type(module)]
    assert tuple(getattr(module, name) for name in names) == left
