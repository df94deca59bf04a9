"""A run in which channels are followed."""

import torch
import torch.nn.functional as F
from networks import alive, convnet, images
from torch import nn

from splinelib.channels.following import follow
from splinelib.network.inputs import Inputs


def test_layers_in_order_and_the_norms_behind_them():
    model = convnet()
    followed = follow(model, Inputs((images(2),)))
    assert followed.order == ["0", "3", "6", "11"] and set(followed.calls.values()) == {1}
    assert followed.batch_norms == {"0": "1", "3": "4", "6": "7"}
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_norm_that_two_layers_share_is_behind_none():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
            self.n, self.m = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

        def forward(self, x):
            x = F.relu(self.n(self.a(x)))
            y = self.b(x)
            return self.n(y) + self.m(y)  # and y is read twice

    assert follow(alive(Shared()), Inputs((images(2),))).batch_norms == {}


def test_a_layer_that_something_else_reads_too_has_no_norm_of_its_own():
    class Read(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.n, self.c = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)

        def forward(self, x):
            y = self.a(x)
            return self.c(self.n(y) + y)

    assert follow(alive(Read()), Inputs((images(2),))).batch_norms == {}


def test_positional_and_keyword_inputs():
    class Siamese(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x, *, other):
            return {"y": self.c(F.relu(self.a(x) + self.b(other["z"])))}

    followed = follow(Siamese(), Inputs((torch.randn(2, 4),), {"other": {"z": torch.randn(2, 4)}}))
    component = followed.ties.components()
    sides = [
        followed.blocks[name, role] for name, role in (("a", "out"), ("b", "out"), ("c", "in"))
    ]
    first, second, third = (component[side.numpy()].tolist() for side in sides)
    assert first == second == third and len(set(first)) == 6


def test_a_weight_that_a_layer_hands_out_is_left_without_a_mark():
    class Lookup(nn.Linear):
        def forward(self, x):
            return self.weight

    net = nn.Sequential(nn.Linear(4, 6), Lookup(6, 3))
    follow(net, Inputs((torch.randn(2, 4),)))
    assert not any(vars(parameter) for parameter in net.parameters())
