"""A walk between two images: values, slopes, where the network looks."""

import numpy as np
import pytest
import torch

from splinelib import models
from splinelib.exhibits import attention
from splinelib.models import VisionTransformer


@pytest.fixture(scope="module")
def walked() -> tuple[VisionTransformer, attention.Walk]:
    model = models.vision_transformer(channels=1, image_size=8, width=0.125, depth=1)
    first, last = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return model, attention.walk(model, first, last, (3, 5))


def test_the_margin_is_that_of_the_logits_and_its_slope_is_seen_in_it(walked):
    model, walk = walked
    first = torch.from_numpy(walk.images[0])[None, None]
    logits = model(first).detach()[0]
    assert walk.margin[0] == pytest.approx(float(logits[5] - logits[3]), abs=1e-5)
    slopes = np.gradient(walk.margin, walk.along)[walk.places[1:-1]]
    assert walk.true[1:-1] == pytest.approx(slopes, abs=0.1)
    assert not np.allclose(walk.held, walk.true, rtol=0.01)


def test_where_it_looks_adds_up_with_the_class_token_to_one(walked):
    model, walk = walked
    assert walk.looks.shape == (attention.PLACES, 4, 4)
    assert (walk.looks.sum((1, 2)) < 1).all() and (walk.looks > 0).all()
    with torch.no_grad():
        model.blocks[-1].attention.qkv.weight.zero_()  # all tokens alike
        model.blocks[-1].attention.qkv.bias.zero_()
    image = torch.from_numpy(walk.images[0])[None]
    assert attention.class_attention(model, image).numpy() == pytest.approx(1 / 17)


def test_a_slider_walks(walked):
    _, walk = walked
    shown = attention.stroll(walk)
    assert shown.frames == attention.PLACES
    assert "Left:" not in shown.markup, "on a phone the pictures lie below each other"
