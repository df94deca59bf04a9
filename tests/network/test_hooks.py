"""Hooks on many modules with one handle."""

import pytest
import torch
from torch import nn

from splinelib.network.hooks import hooked


class Keywords(nn.Module):
    def forward(self, x, scale=1):
        if scale is None:
            raise RuntimeError("no scale")
        return x * scale


def dicts_of(module):
    return [v for key, v in vars(module).items() if "hooks" in key and isinstance(v, dict)]


def test_hooks_are_called_in_order_and_taken_off_again():
    net, seen = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())), []
    own = net[0].register_forward_hook(lambda *_: seen.append("the user's own"))
    names = {module: name for name, module in net.named_modules()}
    before = {m: lambda m, args: seen.append(f"to {names[m]}") for m in names}
    behind = {m: lambda m, args, out: seen.append(f"from {names[m]}") for m in names}
    with hooked(before, behind):
        net(torch.zeros(1))
    calls = ["to ", "to 0", "the user's own", "from 0", "to 1", "to 1.0", "from 1.0", "from 1"]
    assert seen == [*calls, "from "]
    assert [len(d) for m in names for d in dicts_of(m) if d] == [1]  # the user's own
    own.remove()
    assert not any(d for m in names for d in dicts_of(m))


def test_what_hooks_return_takes_the_place_of_what_came():
    net = nn.Identity()
    with hooked({net: lambda m, args: (args[0] + 1,)}, {net: lambda m, args, out: out * 10}):
        assert net(torch.ones(1)).item() == 20
    assert net(torch.ones(1)).item() == 1


def test_keyword_arguments_are_given_where_they_are_asked_for():
    net, seen = Keywords(), []
    before = {net: lambda m, args, kwargs: seen.append(kwargs)}
    behind = {net: lambda m, args, kwargs, out: seen.append(out.item())}
    with hooked(before, behind, keywords=True):
        net(torch.ones(1), scale=3)
    assert seen == [{"scale": 3}, 3.0] and not any(dicts_of(net))


@pytest.mark.parametrize("always", [False, True])
def test_where_a_forward_raises(always):
    net, seen = Keywords(), []
    left = hooked(behind={net: lambda *_: seen.append("left")}, always=always)
    with pytest.raises(RuntimeError, match="no scale"), left:
        net(torch.ones(1), None)
    assert seen == ["left"] * always and not any(dicts_of(net))


def test_no_hooks_and_hooks_within_hooks():
    net, seen = nn.Identity(), []
    with hooked(), hooked({}, {}):
        net(torch.ones(1))
    with hooked({net: lambda *_: seen.append("one")}):
        with hooked({net: lambda *_: seen.append("two")}):
            net(torch.ones(1))
        net(torch.ones(1))
    net(torch.ones(1))
    assert seen == ["one", "two", "one"]
