"""Networks: sizes as published, shapes at every scale, seeds that keep to themselves."""

import pytest
import torch
import torchvision
from torch import nn

import splinelib as sl
from splinelib import data, models
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


@pytest.mark.parametrize("name", ["mlp", "vgg16", "preresnet20", "resnet18", "resnet50"])
@pytest.mark.parametrize("width", [0.05, 0.25, 1.0])
def test_every_network_takes_digits(name, width):
    digits = data.load("digits")
    model = models.build(name, digits, width=width)
    outputs = model(digits.to_float(digits.train_images[:4]))
    assert outputs.shape == (4, 10) and outputs.isfinite().all()


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("make", [models.vgg16, models.resnet18, models.resnet50, models.preresnet])
def test_other_image_sizes_channels_and_classes(make, size):
    options = {"depth": 11} if make is models.preresnet else {}
    model = make(classes=7, channels=2, image_size=size, width=0.125, **options)
    assert model(torch.zeros(2, 2, size, size)).shape == (2, 7)


def test_vgg_has_thirteen_convolutions_and_one_linear_layer():
    kinds = [type(module) for module in models.vgg16(width=0.1).modules()]
    assert kinds.count(nn.Conv2d) == 13
    assert kinds.count(nn.Linear) == 1
    assert kinds.count(nn.MaxPool2d) == 4


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_at_224_pixels_a_resnet_is_imagenet_s(name):
    ours = getattr(models, name)(classes=1000, image_size=224)
    theirs = getattr(torchvision.models, name)()
    for small, large in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert small.numel() == large.numel()
    example = torch.zeros(1, 3, 224, 224)
    assert forward_flops(ours, example) == forward_flops(theirs, example)


@pytest.mark.parametrize("depth", [20, 29, 101])
def test_depth_counts_the_weight_layers_on_the_main_path(depth):
    model = models.preresnet(depth, width=0.25)
    main = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]
    assert len(main) == depth


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


def test_an_mlp_is_what_its_widths_say():
    model = models.mlp([2, 16, 8, 3], activation=nn.LeakyReLU)
    linear = [m for m in model if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(2, 16), (16, 8), (8, 3)]
    assert sum(isinstance(m, nn.LeakyReLU) for m in model) == 2
    # Biases differ from zero, so hyperplanes do not all meet in the origin.
    assert (linear[0].bias != 0).all()


@pytest.mark.parametrize("name", ["mlp", "vgg16", "preresnet20", "resnet18", "resnet50"])
def test_the_library_finds_the_spline_layers_of_each_network(name):
    digits = data.load("digits")
    model = models.build(name, digits, width=0.25)
    layers = sl.spline_layers(model, digits.to_float(digits.train_images[:1]))
    rectifiers = sum(isinstance(module, nn.ReLU) for module in model.modules())
    found = sum(layer.kind == "relu" for layer in layers)
    # A pre-activation block uses its one ReLU module three times.
    assert found == (1 + 3 * 6 if name == "preresnet20" else rectifiers)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.preresnet(100), "9 n"),
        (lambda: models.vgg16(width=0), "width"),
        (lambda: models.vgg16(classes=0), "classes"),
        (lambda: models.mlp([3]), "widths"),
        (lambda: models.build("alexnet", data.load("digits")), "vgg16"),
    ],
)
def test_bad_parameters(call, message):
    with pytest.raises(ValueError, match=message):
        call()
