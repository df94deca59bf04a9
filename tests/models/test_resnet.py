"""ResNets for large images."""

import pytest
import torch
import torchvision

from splinelib import models
from splinelib.training import forward_flops


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_at_224_pixels_a_resnet_is_imagenet_s(name):
    ours = getattr(models, name)(classes=1000, image_size=224)
    theirs = getattr(torchvision.models, name)()
    for small, large in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert small.numel() == large.numel()
    example = torch.zeros(1, 3, 224, 224)
    assert forward_flops(ours, example) == forward_flops(theirs, example)
