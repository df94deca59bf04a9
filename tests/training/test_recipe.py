"""What decides a training."""

import numpy as np
import pytest
from runs import quick

from splinelib import models, training
from splinelib.archives import check_readable


def test_the_rate_falls_at_half_and_three_quarters(digits):
    few = digits.subset(train=32)
    for epochs, milestones in ((8, [4, 6]), (5, [3, 4]), (1, [1, 1])):
        rates = [
            row["learning_rate"] for row in quick(models.mlp([64, 10]), few, epochs=epochs).history
        ]
        assert rates == pytest.approx(
            [0.1 * 0.1 ** sum(e >= m for m in milestones) for e in range(epochs)]
        )
    assert training.Recipe(160).milestones == (80, 120)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"start": 5}, "start"),
        ({"batch_size": 1}, "batch_size"),
        ({"lr": -1.0}, "lr"),
        ({"momentum": float("nan")}, "momentum"),
    ],
)
def test_bad_settings(digits, options, message):
    with pytest.raises(ValueError, match=message):
        quick(models.mlp([64, 10]), digits, **options)


def test_milestones_follow_the_epochs_unless_they_were_given():
    paper = training.Recipe(160)
    assert training.Recipe.of(paper, {"epochs": 30}).milestones == (15, 23)
    assert training.Recipe.of(paper, {"lr": 0.2}).milestones == (80, 120)
    given = training.Recipe(160, milestones=[10])
    assert training.Recipe.of(given, {"epochs": 30}).milestones == (10,)


def test_a_recipe_and_its_settings_are_told_apart():
    for recipe, settings, match in (
        (None, {"epochs": 2, "rate": 1}, "no setting 'rate'"),
        (None, {"lr": 1}, "needs epochs="),
        (2, {}, "not int"),
    ):
        with pytest.raises(TypeError, match=match):
            training.Recipe.of(recipe, settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 2.5}, "epochs is a whole number, not 2.5"),
        ({"epochs": True}, "epochs is a whole number"),
        ({"epochs": 2, "batch_size": 16.0}, "batch_size is a whole number, not 16.0"),
        ({"epochs": 2, "start": "1"}, "start is a whole number, not '1'"),
        ({"epochs": 2, "lr": "0.1"}, "lr is a number, not '0.1'"),
        ({"epochs": 2, "l1": None}, "l1 is a number, not None"),
        ({"epochs": 2, "milestones": 1}, "milestones are several epochs, not 1"),
        ({"epochs": 2, "milestones": "a"}, "a milestone is a whole number, not 'a'"),
    ],
)
def test_what_is_no_number_is_refused_by_name(settings, message):
    """These were errors from within the training, which named no setting."""
    with pytest.raises(TypeError, match=message):
        training.Recipe(**settings)


def test_numbers_of_numpy_are_kept_as_pythons():
    given = {"epochs": np.int64(4), "lr": np.float64(0.25), "batch_size": np.int32(8)}
    recipe = training.Recipe(**given, milestones=np.array([1, 3]))
    assert recipe == training.Recipe(4, 0.25, 8, milestones=(1, 3))
    check_readable(recipe.state_dict(), "recipe")  # no number of NumPy's could be read back
