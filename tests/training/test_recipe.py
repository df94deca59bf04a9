"""What decides a training."""

import pytest
from runs import quick

from splinelib import models, training


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
