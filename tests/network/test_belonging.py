import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import splinelib as sl
from splinelib.network.belonging import check_belongs

READER = nn.Linear(4, 2)
NORMS = {"last": nn.BatchNorm1d(4)}
DROPOUT = nn.Dropout(0.5)
ACTIVATION = nn.ReLU()
body = nn.Linear(4, 4)  # has the name of an attribute below


@functools.cache
def reader():
    return READER


class Base(nn.Module):
    held = nn.Linear(4, 4)
    activation = nn.ReLU()

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 4)

    def read(self, x):
        return READER(x)


class Global(Base):
    def forward(self, x):
        return READER(self.body(x))


class Listed(Base):
    def forward(self, x):
        return NORMS["last"](self.body(x))


class Dropping(Base):
    def forward(self, x):
        return DROPOUT(self.body(x))


class Cached(Base):
    def forward(self, x):
        return reader()(self.body(x))


class Method(Base):
    def forward(self, x):
        return self.read(self.body(x))


class Inner(Base):
    def forward(self, x):
        return torch.stack([READER(row) for row in self.body(x)])


class Attribute(Base):
    def forward(self, x):
        return self.held(self.body(x))


class Property(Base):
    @property
    def last(self):
        return READER

    def forward(self, x):
        return self.last(self.body(x))


class Sound(Base):
    """Uses only what belongs to it, and modules without state."""

    def trained_beside(self, x):
        return READER(x)

    def forward(self, x):
        return F.relu(self.activation(ACTIVATION(self.body(x))))


OUTSIDE = {
    Global: "the global name READER",
    Listed: "the global name NORMS",
    Dropping: "the global name DROPOUT",
    Cached: "the global name READER",
    Method: "the global name READER",
    Inner: "the global name READER",
    Attribute: "the class attribute held",
    Property: "the global name READER",
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_modules_outside_of_the_model_are_named(kind):
    model = nn.Sequential(nn.Linear(4, 4), kind())
    with pytest.raises(ValueError, match=rf"'1' \({kind.__name__}\) runs .*: {OUTSIDE[kind]}\. "):
        check_belongs(model)


def test_what_belongs_to_a_model_or_has_no_state_is_not():
    check_belongs(nn.Sequential(Sound(), nn.ReLU()))


@pytest.mark.parametrize(
    "call",
    [
        lambda model, x: sl.training.evaluate(model, x, torch.zeros(len(x), dtype=torch.int64)),
        lambda model, x: sl.region_codes(model, x),
        lambda model, x: sl.prune(model, 0.5, data=x),
    ],
    ids=["evaluate", "region_codes", "prune"],
)
def test_public_functions_refuse_them(call):
    statistics = NORMS["last"].running_mean.clone()
    with pytest.raises(ValueError, match="not part of the network"):
        call(Listed(), torch.randn(8, 4))
    assert torch.equal(NORMS["last"].running_mean, statistics)
