"""What layers say, and whether two networks say the same."""

import pytest
import torch
from networks import convnet, images
from torch import nn

from splinelib.channels.saying import alike, differs, said_by
from splinelib.network.inputs import Inputs


def agree(one, other, rows=None):
    return alike({"a": [one]}, {"a": [other]}, {"a": rows})


def test_what_is_infinite_or_undefined_agrees_with_nothing():
    one = torch.ones(2, 3)
    assert agree(one, one + 1e-6) and not agree(one, one + 1e-3)
    assert agree(one, one[:, :2], torch.tensor([0, 2])) and not agree(one, one.T)
    for value in (torch.inf, -torch.inf, torch.nan):
        other = one.clone()
        other[0, 0] = value
        assert not any(agree(*pair) for pair in ((one, other), (other, one)))
        assert not agree(other, other)


def test_each_layer_is_held_to_its_own_scale():
    """An error that is nothing beside another layer's values is one all the same."""
    large, faint = torch.full((4, 2), 1e6), torch.full((4, 2), 1e-3)
    for at in range(3):
        said = {"a": [large], "b": [faint, faint], "": [large]}
        wrong = {name: [t.clone() for t in tensors] for name, tensors in said.items()}
        assert alike(said, wrong, {})
        name = ["b", "b", ""][at]
        wrong[name][at % 2 if name else 0][-1, -1] *= 1.001
        assert not alike(said, wrong, {})
        assert alike(said, wrong, {}, {name})
    zero = torch.zeros(2, 2)
    assert agree(zero, zero) and not agree(zero, zero + 1e-30)


def test_fewer_calls_or_nothing_to_compare_is_not_alike():
    one, nothing = torch.ones(2, 3), torch.ones(0, 3)
    assert not alike({"a": [one, one]}, {"a": [one]}, {})
    assert not alike({"a": [one]}, {}, {}) and not agree(nothing, nothing)
    assert alike({}, {}, {})


@pytest.mark.parametrize("shape", [(2, 5, 8, 8), (2, 5, 7, 9), (3, 5, 16), (2, 5, 4, 4, 4)])
@pytest.mark.parametrize("turned", [False, True])
def test_the_same_positions_are_looked_at_however_a_map_lies_in_memory(shape, turned):
    class Says(nn.Module):
        def __init__(self):
            super().__init__()
            kind = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}[len(shape)]
            self.conv = kind(5, 5, 1)

        def forward(self, x):
            return self.conv(x.movedim(1, -1).contiguous().movedim(-1, 1) if turned else x)

    torch.manual_seed(0)
    net, x = Says(), torch.randn(shape)
    with torch.no_grad():
        rows = net(x).movedim(1, -1).reshape(-1, 5)
    (found,) = said_by(net, Inputs((x,)))["conv"]
    assert torch.allclose(found, rows[:: max(1, len(rows) // 64)], atol=1e-6)


def test_layers_say_what_they_said_before_it_was_written_over():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 3)).eval()
    said = said_by(net, Inputs((images(2),)))
    assert (said["0"][0] < 0).any() and list(said) == ["0", "2", ""]
    assert not any(module._forward_hooks for module in net.modules())


def test_where_a_run_fails_its_last_layer_is_named():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 2))
    with pytest.raises(RuntimeError) as failed:
        said_by(net, Inputs((torch.ones(2, 3),)))
    assert failed.value._reached == "0"


def test_a_difference_is_said_in_words():
    one = torch.ones(2, 3)
    assert differs(one, one, 2 * one, None) is None
    assert differs(one, one + 0.1, 2 * one, None).startswith("outputs differ by 0.1 where masking")
    assert "shape (2, 2) instead of (2, 3)" in differs(one, one[:, :2], one, None)
    assert "infinite in one" in differs(one, one / 0, one, None)
    assert differs(convnet()[0].weight, convnet()[0].weight, one, None) is None
