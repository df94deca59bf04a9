"""Weights follow from the seed; sizes are the published ones."""

import pytest
import torch

from splinelib import models
from splinelib.training import forward_flops


@pytest.mark.parametrize(
    ("make", "parameters", "macs"),
    [
        (models.vgg16, 14.72, 313),
        (models.preresnet, 1.05, 154),
        (models.resnet18, 11.17, 555),
    ],
)
def test_sizes_at_cifar_are_the_published_ones(make, parameters, macs):
    model = make()
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(parameters, abs=0.005)
    counted = forward_flops(model, torch.zeros(1, 3, 32, 32)) / 2e6
    assert counted == pytest.approx(macs, abs=0.5)


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("make", [models.vgg16, models.resnet18, models.resnet50, models.preresnet])
def test_other_image_sizes_channels_and_classes(make, size):
    options = {"depth": 11} if make is models.preresnet else {}
    model = make(classes=7, channels=2, image_size=size, width=0.125, **options)
    assert model(torch.zeros(2, 2, size, size)).shape == (2, 7)


def test_weights_follow_from_the_seed_and_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = models.vgg16(width=0.1, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again, other = models.vgg16(width=0.1, seed=5), models.vgg16(width=0.1, seed=6)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    assert not torch.equal(first.features[0].weight, other.features[0].weight)


def test_initial_batch_norm_scale_is_one_half():
    scales = [m.weight for m in models.resnet18(width=0.1).modules() if hasattr(m, "running_mean")]
    assert all((scale == 0.5).all() for scale in scales) and len(scales) == 20


def test_signal_survives_the_depth():
    images = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model = models.preresnet(101).train()
    with torch.no_grad():
        outputs = model(images)
    assert 1e-3 < outputs.std() < 10
