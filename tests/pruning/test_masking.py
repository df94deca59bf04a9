"""Masks on networks."""

import copy

import pytest
import torch
import torch.nn.functional as F
import torchvision
from networks import alive, convnet, dense_mlp, images, relative_error
from torch.nn.utils import prune

import splinelib as sl


def test_masks_of_torch_hold_in_training_and_can_be_removed():
    model, data = convnet(bias=True).train(), images(32)
    masks = sl.select(sl.score(model, "random", example=data), 0.5)
    masked, held = sl.apply_masks(model, masks), sl.attach_masks(model, masks)
    with torch.no_grad():
        assert torch.equal(held.eval()(data), masked.eval()(data))
    assert torch.equal(held[0].weight_orig, model[0].weight)  # what was there is kept
    optimiser = torch.optim.SGD(held.train().parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        F.cross_entropy(held(data), torch.arange(32) % 4).backward()
        optimiser.step()
    held.eval()
    hidden = held[:3](data)
    assert not hidden[:, ~masks["0"]].any() and hidden[:, masks["0"]].any()
    with torch.no_grad():
        expected = held(data)
    for module in list(held.modules()):
        for key in ("weight", "bias"):
            if hasattr(module, f"{key}_mask"):
                prune.remove(module, key)
    with torch.no_grad():
        assert torch.equal(held(data), expected)
        assert relative_error(sl.shrink(held, masks)(data), expected) < 1e-5


def test_masks_of_torch_on_a_stranger():
    torch.manual_seed(0)
    model = alive(torchvision.models.mobilenet_v2(weights=None, num_classes=10))
    masks = sl.select(sl.score(model, "random", example=images(1, 32)), 0.5)
    with torch.no_grad():
        found = sl.attach_masks(model, masks)(images(2, 32))
        assert relative_error(found, sl.apply_masks(model, masks)(images(2, 32))) < 1e-6


def test_model_is_left_as_it_was():
    model = convnet().train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    modes = [m.training for m in model.modules()]
    small = sl.prune(model, 0.5, "lsq", data=images(), compensate=True)
    sl.apply_masks(model, sl.select(sl.score(model, data=images(4)), 0.5))
    assert [m.training for m in model.modules()] == modes
    assert [m.training for m in small.modules()] == modes
    assert not model[0].weight.requires_grad
    assert not small[0].weight.requires_grad
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in small.modules())


def test_bad_masks_are_refused():
    model, inputs = convnet(), images(1)
    scores = sl.score(model, example=inputs)
    masks = sl.select(scores, 0.5)
    for change, match in [
        ({"7": torch.ones(4, dtype=torch.bool)}, "no prunable group '7'"),
        ({"0": torch.ones(5, dtype=torch.bool)}, r"bool of shape \(6,\)"),
        ({"0": torch.ones(6)}, "bool"),
        ({"0": torch.zeros(6, dtype=torch.bool)}, "leaves no unit"),
    ]:
        for work in (sl.apply_masks, sl.shrink):
            with pytest.raises(ValueError, match=match):
                work(model, {**masks, **change}, inputs)
    with pytest.raises(ValueError, match="another model"):
        sl.shrink(dense_mlp(), masks, torch.zeros(1, 6))
    with pytest.raises(ValueError, match="plain dict"):
        sl.apply_masks(model, dict(masks))


@pytest.mark.cuda
@pytest.mark.parametrize("criterion", list(sl.CRITERIA))
def test_works_on_cuda_as_on_the_cpu(criterion):
    model, data = convnet(), images(128)
    options = {"data": data, "labels": torch.arange(128) % 4, "compensate": True}
    there = sl.prune(model.cuda(), 0.5, criterion, **options)
    here = sl.prune(model.cpu(), 0.5, criterion, **options)
    with torch.no_grad():
        assert relative_error(there(data.cuda()).cpu(), here(data)) < 1e-2


@pytest.mark.parametrize("way", [sl.shrink, sl.apply_masks, sl.attach_masks])
def test_what_are_no_masks_is_refused(way):
    model, example = dense_mlp(), torch.zeros(1, 6)
    for masks, error, message in (
        (None, TypeError, "a dict of group name to tensor.*not NoneType"),
        ([torch.ones(16) > 0], TypeError, "not list"),
        ({"0": "all"}, ValueError, "the mask of '0' is no tensor of bool"),
    ):
        with pytest.raises(error, match=message):
            way(model, masks, example)
