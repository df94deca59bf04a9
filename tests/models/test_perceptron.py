"""Multi-layer perceptrons."""

from torch import nn

from splinelib import models


def test_an_mlp_is_what_its_widths_say():
    model = models.mlp([2, 16, 8, 3], activation=nn.LeakyReLU)
    linear = [m for m in model if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(2, 16), (16, 8), (8, 3)]
    assert sum(isinstance(m, nn.LeakyReLU) for m in model) == 2
    # Biases differ from zero, so hyperplanes do not all meet in the origin.
    assert (linear[0].bias != 0).all()
