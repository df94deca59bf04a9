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
