"""Depths of pre-activation ResNets."""

import pytest
from torch import nn

from splinelib import models


@pytest.mark.parametrize("depth", [20, 29, 101])
def test_depth_counts_the_weight_layers_on_the_main_path(depth):
    model = models.preresnet(depth, width=0.25)
    main = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]
    assert len(main) == depth
