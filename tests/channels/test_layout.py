"""A layout that is known serves again."""

import pytest
import torch
from networks import convnet, dense_mlp, images

import splinelib as sl


def test_scores_of_a_known_layout_are_the_same():
    model, data = convnet(), images(8)
    scores = sl.score(model, "l2", example=data)
    again = sl.score(model, "l2", layout=scores.layout)
    assert all(torch.equal(scores[name], again[name]) for name in scores)
    with pytest.raises(ValueError, match="another model"):
        sl.score(dense_mlp(), "l2", layout=scores.layout)
