import functools
import threading
from collections import Counter, defaultdict, namedtuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from splinelib.network.replica import replica

Pair = namedtuple("Pair", "first second")


class Closure(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.call = lambda x: F.relu(self.inner(x))

    def forward(self, x):
        return self.call(x)


class Listed(nn.Module):
    """Reaches its layers through a list, a dict, a tuple, a partial, a method and an object."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm = nn.Linear(4, 4), nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.listed = [self.a, {"b": self.b}]
        self.pair = Pair(self.norm, 3)
        self.steps = functools.partial(self.step, layer=self.b)
        self.helper = Helper(self)

    def step(self, x, layer):
        return F.relu(layer(x))

    def forward(self, x):
        x = self.listed[1]["b"](self.listed[0](x))
        return self.helper.run(self.steps(self.pair.first(x)))


class Helper:
    def __init__(self, owner):
        self.owner, self.lock = owner, threading.Lock()

    def run(self, x):
        return self.owner.norm(x)


class Default(nn.Module):
    def __init__(self):
        super().__init__()
        layer = self.layer = nn.BatchNorm1d(4)

        def call(x, layer=layer, *, again=self):
            return again.layer(layer(x))

        self.call = call

    def forward(self, x):
        return self.call(x)


class Unregistered(nn.Module):
    """A layer that torch does not know of, which holds one that it knows."""

    def __init__(self):
        super().__init__()
        self.layer = nn.BatchNorm1d(4)
        self.hidden = [nn.Sequential(self.layer)]

    def forward(self, x):
        return self.hidden[0](x)


def traced():
    return torch.fx.symbolic_trace(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU()))


def compiled():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU())
    return torch.compile(model, backend="eager")


def compiled_in_place():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU())
    model.compile(backend="eager")
    return model


def parametrised():
    layer = torch.nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    return nn.Sequential(layer, nn.BatchNorm1d(4))


def spectral():
    return nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 4)), nn.BatchNorm1d(4))


def masked():
    layer = nn.Linear(4, 4)
    prune.l1_unstructured(layer, "weight", 0.5)
    return nn.Sequential(layer, nn.BatchNorm1d(4))


def shared():
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.BatchNorm1d(4))


MODELS = [
    *(Closure, Listed, Default, Unregistered, traced, compiled, compiled_in_place, parametrised),
    *(spectral, masked, shared),
]


@pytest.mark.parametrize("make", MODELS)
def test_computes_the_same_and_nothing_runs_on_the_model(make):
    model = make()
    x = torch.randn(8, 4)
    with torch.no_grad():
        model(x)  # moves the statistics off their start
    expected = [m.training for m in model.modules()]
    state = {name: t.clone() for name, t in model.state_dict().items()}
    copied = replica(model)
    ran = []
    for module in model.modules():
        module.register_forward_hook(lambda m, a, o: ran.append(m))
    copied.eval()
    with torch.no_grad():
        found = copied(x)
        assert [m.training for m in model.modules()] == expected
        copied.train()
        copied(x)  # the batch norm of the copy renews its statistics
    assert all(torch.equal(t, state[name]) for name, t in model.state_dict().items())
    assert not ran
    with torch.no_grad():
        assert torch.allclose(found, model.eval()(x), atol=1e-6)
    assert len(ran) > 0


@pytest.mark.parametrize("make", MODELS)
def test_shares_parameters_and_no_module(make):
    model = make()
    copied = replica(model)
    names = [name for name, _ in model.named_modules()]
    assert [name for name, _ in copied.named_modules()] == names
    assert not {id(m) for m in model.modules()} & {id(m) for m in copied.modules()}
    assert [id(p) for p in copied.parameters()] == [id(p) for p in model.parameters()]
    assert [type(m) for m in copied.modules()] == [type(m) for m in model.modules()]


def test_hooks_of_the_user_run_and_hooks_of_a_run_stay_on_the_copy():
    model, seen = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), []
    model[0].register_forward_hook(lambda m, args, out: seen.append(m))
    model[1].register_forward_pre_hook(lambda m, args: seen.append(model))
    copied = replica(model)
    copied[0].register_forward_hook(lambda *_: None)
    copied(torch.zeros(1, 4))
    assert len(model[0]._forward_hooks) == 1
    assert seen[0] is copied[0]
    assert seen[1] is copied  # a hook that reaches the model reaches the copy


def test_what_torch_cannot_copy_is_shared():
    model = nn.Linear(2, 2)
    model.lock, model.rows = threading.Lock(), (i for i in range(3))
    model.output = model(torch.zeros(1, 2))  # with a history
    copied = replica(model)
    assert copied.lock is model.lock and copied.output is model.output


def test_weights_that_a_run_writes_are_copied():
    model = nn.Embedding(5, 3, max_norm=0.1)
    before = model.weight.detach().clone()
    replica(model)(torch.arange(5))
    assert torch.equal(model.weight, before)


def test_buffers_of_one_tensor_stay_one():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2))
    model[1].running_mean = model[0].running_mean
    copied = replica(model)
    assert copied[0].running_mean is copied[1].running_mean
    assert copied[0].running_mean is not model[0].running_mean


def test_weights_of_inference_mode_can_be_differentiated():
    with torch.inference_mode():
        model = nn.Linear(2, 2)
    replica(model)(torch.zeros(1, 2)).sum().backward()
    assert model.weight.grad is None


def test_an_object_that_holds_itself():
    model = Listed()
    model.helper.me = model.helper
    model.listed.append(model.listed)
    copied = replica(model)
    assert copied.helper.me is copied.helper and copied.helper.owner is copied
    assert copied.listed[2] is copied.listed


def test_a_lazy_module_has_to_run_once_before():
    model = nn.Sequential(nn.LazyLinear(3), nn.ReLU())
    with pytest.raises(ValueError, match=r"'0.weight' of this network is not made yet"):
        replica(model)
    model(torch.zeros(1, 4))
    assert replica(model)[0].weight is model[0].weight


def test_containers_are_copied_once_and_may_hold_themselves():
    model = nn.Linear(1, 1)
    model.seen = model.again = [1, {"a": []}]
    model.seen.append(model.seen)
    copied = replica(model)
    copied.seen[1]["a"].append(2)
    assert copied.seen is copied.again is copied.seen[2]
    assert model.seen[1] == {"a": []} and model.seen[2] is model.seen


class Keeping(nn.Module):
    """Writes into what it keeps in attributes, as no forward should."""

    __slots__ = ("calls", "reader")

    def __init__(self):
        super().__init__()
        self.reader = nn.Linear(2, 2)
        self.calls = [0]
        self.sums = torch.zeros(4)
        self.first, self.last = self.sums[:2], self.sums[2:]
        self.rows, self.counts, self.lists = np.zeros(2), Counter(), defaultdict(list)

    def forward(self, x):
        self.first += 1
        self.last += 2
        self.rows += 1
        self.calls[0] += 1
        self.counts["calls"] += 1
        self.lists["calls"].append(1)
        return self.reader(x)


def test_what_a_forward_keeps_is_kept_on_the_copy():
    model = Keeping()
    copied = replica(model)
    copied(torch.zeros(1, 2))
    assert model.calls == [0] and not model.counts and not model.lists
    assert not model.sums.any() and not model.rows.any()
    assert copied.sums.tolist() == [1, 1, 2, 2]  # views stay views
    assert copied.counts == {"calls": 1} and copied.lists == {"calls": [1]}
    assert copied.reader is not model.reader and copied.reader.weight is model.reader.weight


def test_a_cache_that_leads_to_a_module_is_made_anew():
    model = nn.Sequential(nn.Linear(2, 2))
    model.reader = functools.lru_cache(maxsize=7)(lambda: model[0])
    assert model.reader() is model[0]
    copied = replica(model)
    assert copied.reader() is copied[0] and copied.reader.cache_parameters()["maxsize"] == 7
    assert model.reader() is model[0]
