"""A pruned network in the shape of the dense one computes the same."""

import copy

import pytest
import torch
from networks import convnet, images, random_network, randomised

import splinelib as sl
from splinelib.channels.filling import filled


@pytest.mark.parametrize("compensate", [False, "refit", "fold"])
def test_it_computes_what_the_small_one_does(compensate):
    model, x = randomised(convnet()).eval(), images(64)
    x = x.expand(-1, next(model.parameters()).shape[1], -1, -1)
    small = sl.prune(model, 0.4, "magnitude", scope="layerwise", data=x, compensate=compensate)
    whole = filled(small, model)
    assert [p.shape for p in whole.buffers()] == [p.shape for p in model.buffers()]
    torch.testing.assert_close(whole(x), small(x), atol=1e-4, rtol=1e-4)


def test_attention_is_filled_with_silent_heads():
    torch.manual_seed(0)
    model = torch.nn.TransformerEncoderLayer(16, 4, 40, batch_first=True).eval()
    x = torch.randn(3, 5, 16)
    small = sl.shrink(model, {"self_attn.in_proj": torch.tensor([True, False, False, True])}, x)
    whole = filled(small, model)
    assert whole.state_dict().keys() == model.state_dict().keys()
    torch.testing.assert_close(whole(x), small(x))


def test_pruned_twice():
    model = random_network([8, 8])
    once = sl.prune(model, 0.5, "magnitude", example=torch.zeros(1, 2), compensate=False)
    twice = sl.prune(once, 0.5, "magnitude", example=torch.zeros(1, 2), compensate=False)
    x = torch.randn(10, 2)
    torch.testing.assert_close(filled(twice, model)(x), twice(x))


def test_what_is_no_pruned_version_of_the_network():
    model = random_network([8])
    small = sl.prune(model, 0.5, "magnitude", example=torch.zeros(1, 2), compensate=False)
    with pytest.raises(ValueError, match="carries no record"):
        filled(copy.deepcopy(model), model)
    with pytest.raises(ValueError, match="is of another network"):
        filled(small, random_network([9]))
