"""Errors of one family, and warnings that name the caller's line."""

import warnings

import pytest
import torch
from interrupted import interrupted
from torch import nn

import splinelib as sl
from splinelib import errors


def test_all_errors_are_of_one_family():
    own = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(own) > 4 and all(issubclass(e, sl.SplineError) for e in own)


class Alone(nn.Module):
    """A layer that does not run beside two that do."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.unused = nn.Linear(4, 8), nn.Linear(8, 2), nn.Linear(4, 4)

    def forward(self, x):
        return self.b(self.a(x).relu())


WARNING = {
    "layout": lambda m: sl.find_groups(m, torch.randn(2, 4)),
    "score": lambda m: sl.score(m, "magnitude", example=torch.randn(2, 4)),
    "prune": lambda m: sl.prune(m, 0.5, data=torch.randn(64, 4)),
    "pruner": lambda m: sl.Pruner(m, example=torch.randn(2, 4)).prune(0.5),
    "select": lambda m: sl.select({"0": torch.rand(4)}, 0.1),
}


@pytest.mark.parametrize("name", WARNING)
def test_a_warning_names_the_line_of_the_caller(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        WARNING[name](Alone())
    assert caught and all(each.filename == __file__ for each in caught)


def test_what_is_held_back_is_told_by_whoever_held_it():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(KeyError), errors.held_back() as outer:
            with errors.held_back() as inner:
                errors.warn("one")
            errors.warn("two")
            raise KeyError
        assert (outer, inner, caught) == (["two"], ["one"], [])
        errors.warn("three")
    assert [str(each.message) for each in caught] == ["three"]


def test_nothing_is_held_back_after_an_interruption():
    def hold():
        with errors.held_back():
            errors.warn("held")

    lines = interrupted(hold, None, errors.__file__)
    assert lines > 5
    for line in range(1, lines + 1):
        interrupted(hold, line, errors.__file__)
        with pytest.warns(UserWarning, match="told"):
            errors.warn("told")


def test_an_error_in_short():
    assert errors.in_short(ValueError("one\ntwo")) == "one"
    assert errors.in_short(KeyError(3)) == "KeyError: 3"
    assert errors.in_short(AssertionError()) == "AssertionError"
