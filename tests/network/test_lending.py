"""A model that is run with other tensors for a while."""

import pytest
import torch
from interrupted import interrupted
from torch import nn

from splinelib.network import lending
from splinelib.network.lending import Lender


class Leaves(nn.Module):
    """Its forward leaves what it can behind."""

    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
        self.register_buffer("steps", torch.zeros(1))
        self.size, self.pair, self.hidden = 4, (1, "two"), None

    def forward(self, x):
        self.steps.add_(1)
        self.size, self.hidden = 5, self.norm(self.a(x))
        self.seen = [x]
        self.extra = nn.ReLU()
        self.register_buffer("late", torch.ones(1), persistent=False)
        self.norm.register_forward_hook(lambda *_: None)
        self.a = nn.Linear(3, 4)
        del self.pair
        return self.hidden * self.steps


def state(model):
    return {
        name: (
            {key: id(value) for key, value in vars(module).items()},
            {
                key: {n: id(v) for n, v in value.items()} if isinstance(value, dict) else set(value)
                for key, value in vars(module).items()
                if isinstance(value, dict | set)
            },
        )
        for name, module in model.named_modules()
    }


def test_a_model_is_as_it_was_whatever_its_forward_leaves():
    model = Leaves()
    before, values = state(model), {k: t.clone() for k, t in model.state_dict().items()}
    lend = Lender(model)
    other = nn.Parameter(torch.zeros(4, 3))
    for fails in (False, True):
        expected = pytest.raises(ZeroDivisionError) if fails else torch.no_grad()
        with expected, lend({id(model.a.weight): other}) as lent:
            assert lent is model and model.a.weight is other
            lent.train()(torch.randn(5, 3))
            assert model.size == 5 and model.steps == 1
            if fails:
                raise ZeroDivisionError
        assert state(model) == before
        assert all(torch.equal(values[k], t) for k, t in model.state_dict().items())


def with_list(model):
    model.kept = [1]


def with_dict(model):
    model.kept = {"a": 1}


def with_tensor(model):
    model.kept = torch.ones(2)


def with_parameter_beside(model):
    model.__dict__["kept"] = model[0].weight


def with_hook(model):
    model[1].register_forward_hook(lambda *_: None)


def with_function(model):
    model.kept = lambda x: x


def with_object(model):
    model.kept = object()


def with_module_in_a_tuple(model):
    model.kept = (model[0],)


def with_embedding(model):
    model.append(nn.Embedding(3, 3, max_norm=1.0))


@pytest.mark.parametrize(
    "change",
    [
        *(with_list, with_dict, with_tensor, with_parameter_beside, with_hook, with_function),
        *(with_object, with_module_in_a_tuple, with_embedding),
    ],
)
def test_of_what_a_run_could_change_unseen_a_replica_is_lent(change):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    other = nn.Parameter(torch.zeros(4, 3))
    with Lender(model)({id(model[0].weight): other}) as lent:
        assert lent is model
    change(model)
    with Lender(model)({id(model[0].weight): other}) as lent:
        assert lent is not model and lent[0].weight is other and model[0].weight is not other
    assert model[0].weight is not other


def test_an_interruption_while_it_is_brought_back_leaves_modules_that_can_be_asked():
    line = 0
    while True:
        line += 1
        model = Leaves()
        lend = Lender(model)

        def run(lend=lend):
            with lend({}), lend({}) as lent, torch.no_grad():
                lent(torch.randn(5, 3))

        seen = interrupted(run, line, lending.__file__)
        torch.set_grad_enabled(True)  # as public functions do (`surroundings`)
        assert not any(module.training is None for module in model.modules())
        if seen < line:
            break
    assert line > 20
