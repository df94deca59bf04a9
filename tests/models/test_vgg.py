"""VGG-16."""

from torch import nn

from splinelib import models


def test_vgg_has_thirteen_convolutions_and_one_linear_layer():
    kinds = [type(module) for module in models.vgg16(width=0.1).modules()]
    assert kinds.count(nn.Conv2d) == 13
    assert kinds.count(nn.Linear) == 1
    assert kinds.count(nn.MaxPool2d) == 4
