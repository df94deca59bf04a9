"""Changes that can be taken back, and where constants go."""

import copy

import pytest
import torch
import torch.nn.functional as F
from networks import Equalised, alive, images
from torch import nn

import splinelib as sl
from splinelib.calibration.layer_maps import layer_map
from splinelib.channels.groups import find_groups
from splinelib.pruning.changing import Change, own_norms


class Shared(nn.Module):
    """One batch norm behind two convolutions, the first in front of all that is pruned."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = (nn.Conv2d(c, 8, 3, padding=1, bias=False) for c in (3, 12))
        self.c, self.norm = nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(8)
        alive(self)

    def forward(self, x):
        x = self.norm(self.a(x))
        return x + self.norm(self.b(F.relu(self.c(F.relu(x)))))


@pytest.mark.parametrize("compensate", ["fold", "refit", "merge"])
def test_a_shared_batch_norm_is_not_moved(compensate):
    model, data, test = Shared(), images(200), images(50, seed=1)
    how = {"criterion": "magnitude", "data": data}
    if compensate == "merge":
        how = {"criterion": "magnitude", "example": data[:1]}
    plain, small = (sl.prune(model, 0.4, compensate=c, **how) for c in (False, compensate))
    assert torch.equal(small.norm.running_mean, model.norm.running_mean)
    assert torch.equal(small.norm.running_var, model.norm.running_var)
    assert small.b.bias is not None and small.a.bias is None
    with torch.no_grad():
        expected = model(test)
        front = model.norm(model.a(test))
        assert torch.equal(small.norm(small.a(test)), front)
        errors = [(net(test) - expected).square().mean() for net in (small, plain)]
    # What is implied without data is of inputs that the made-up statistics do not have.
    assert compensate == "merge" or errors[0] < 0.9 * errors[1]


def test_a_batch_norm_is_a_layers_own_if_it_runs_once_as_torch_runs_it():
    model = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    model.add_module("head", nn.Conv2d(4, 2, 1))
    layout = find_groups(model.eval(), images(1))
    assert own_norms(model, layout, images(1)) == {"0": "1"}
    hook = model[1].register_forward_hook(lambda *given: 2 * given[2])
    assert own_norms(model, layout, images(1)) == {}
    hook.remove()

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = model

        def forward(self, x):
            return self.inside(x) + self.inside(x)

    names = {"inside.0": "inside.1"}
    layout = find_groups(model, images(1))
    object.__setattr__(layout, "batch_norms", names)
    assert own_norms(Twice().eval(), layout, images(1)) == {}
    assert own_norms(Twice().eval(), layout, None) == names


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("norm", [True, False])
def test_a_change_does_to_the_outputs_what_was_asked_and_is_taken_back(bias, norm):
    torch.manual_seed(0)
    layer, x = Equalised(4, 6), torch.randn(30, 4)
    if not bias:
        layer.bias = None
    behind = alive(nn.BatchNorm1d(6)) if norm else nn.Identity()
    both = nn.Sequential(layer, behind).eval()
    before = copy.deepcopy(both.state_dict())
    step, constant = torch.randn(6, 4), torch.randn(6)
    expected = behind(layer(x) + x @ step.T + constant)
    change = Change(layer, layer_map(layer, (x,), {}), behind if norm else None)
    assert change.possible and change.behind == (norm and not bias)
    change.make(step, constant)
    torch.testing.assert_close(both(x), expected, rtol=1e-4, atol=1e-5)
    assert change.added == (not bias and not norm)
    change.take_back()
    assert not change.added
    assert list(both.state_dict()) == list(before)
    assert all(torch.equal(value, before[key]) for key, value in both.state_dict().items())


def test_no_change_is_possible_where_nobody_looks_at_the_bias():
    class Biasless(nn.Linear):
        def forward(self, x):
            return F.linear(x, self.weight)

    torch.manual_seed(0)
    layer, x = Biasless(4, 6), torch.randn(30, 4)
    assert not Change(layer, layer_map(layer, (x,), {})).possible
    assert Change(layer, layer_map(layer, (x,), {}), nn.BatchNorm1d(6)).behind
    assert not Change(layer, None).possible
