"""The vision transformer: its sizes, what its parts compute, and what it refuses."""

import pytest
import torch
import torch.nn.functional as F

import splinelib as sl
from splinelib import cost, models
from splinelib.models.vit import Attention


def test_published_sizes_at_cifar():
    model = models.vision_transformer()
    assert sum(p.numel() for p in model.parameters()) == 425_994
    macs = cost.forward_flops(model, torch.zeros(1, 3, 32, 32)) / 2
    assert macs == pytest.approx(7.3e6, rel=0.01)


def test_attention_is_a_softmax_over_the_tokens():
    torch.manual_seed(0)
    attention, tokens = Attention(6, heads=2, size=3).double(), torch.randn(2, 5, 6).double()
    q, k, v = attention.qkv(tokens).chunk(3, 2)
    heads = []
    for head in (slice(0, 3), slice(3, 6)):
        weights = (q[..., head] @ k[..., head].transpose(1, 2) / 3**0.5).softmax(2)
        heads.append(weights @ v[..., head])
    expected = attention.proj(torch.cat(heads, 2))
    torch.testing.assert_close(attention(tokens), expected)
    torch.testing.assert_close(attention.weights(tokens)[:, 1], weights)


def test_heads_are_counted_in_the_weights():
    attention, tokens = Attention(8, heads=4, size=2), torch.randn(1, 3, 8)
    attention.qkv = torch.nn.Linear(8, 3 * 2 * 2)  # two of the four heads
    attention.proj = torch.nn.Linear(2 * 2, 8)
    assert attention(tokens).shape == (1, 3, 8)


def test_the_class_token_reads_the_patches_and_a_position_tells_them_apart():
    model = models.vision_transformer(channels=1, image_size=8, width=0.25)
    images = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    turned = images.roll(4, dims=3)  # the same patches in other places
    assert not torch.allclose(model(images), model(turned), atol=1e-4)
    with torch.no_grad():
        model.positions[:, 1:] = model.positions[:, 1:2]
    torch.testing.assert_close(model(images), model(turned), rtol=0, atol=1e-5)


def test_the_width_multiplies_the_heads_size_and_keeps_them_whole():
    for width in (0.05, 0.25, 1.0):
        model = models.vision_transformer(width=width)
        attention = model.blocks[0].attention
        assert attention.qkv.out_features == 3 * 4 * attention.size


def test_it_learns():
    model = models.vision_transformer(channels=1, image_size=8, width=0.125, depth=1)
    images = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(64) % 2
    images += labels[:, None, None, None]
    settings = {"epochs": 10, "lr": 0.05, "batch_size": 16, "progress": False}
    trained = sl.training.train(model, (images, labels), **settings).model
    assert F.cross_entropy(trained(images), labels) < 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch": 5}, "do not divide an image of 32 x 32"),
        ({"dim": 130}, "which 4 heads do not divide"),
        ({"heads": 0}, "heads is at least 1"),
        ({"patch": 0}, "patch is at least 1"),
        ({"depth": 0}, "depth is at least 1"),
        ({"width": 0}, "width"),
        ({"image_size": 30}, "patches of 7 x 7"),
    ],
)
def test_sizes_that_no_network_has_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        models.vision_transformer(**settings)


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (2, 1, 32, 32), (3, 32, 32)])
def test_images_of_another_shape_are_refused(shape):
    model = models.vision_transformer(width=0.125)
    with pytest.raises(ValueError, match=r"\(N, 3, 32, 32\), not"):
        model(torch.zeros(shape))
