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


def test_what_several_layers_make_and_several_read_is_a_stream():
    model = sl.models.preresnet(20, width=0.25).eval()
    layout = sl.find_groups(model, torch.zeros(1, 3, 8, 8))
    streams = [group.units for group in layout.groups.values() if group.is_stream]
    assert streams == sorted(streams) and len(streams) == 3
    plain = sl.find_groups(convnet(), torch.zeros(1, 3, 8, 8))
    assert not any(group.is_stream for group in plain.groups.values())
