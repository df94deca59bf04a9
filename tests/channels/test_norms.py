"""Norms over the channels that stay."""

import copy
import io

import pytest
import torch
import torch.nn.functional as F
import torchvision
from networks import images, relative_error
from strangers import NormedStream, lively, rows
from torch import nn

import splinelib as sl
from splinelib.channels.norms import leave_out, plain_again


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.LayerNorm(6), (3, 6)),
        (nn.LayerNorm(6, eps=1e-2, bias=False), (3, 4, 6)),
        (nn.LayerNorm(6, elementwise_affine=False), (3, 6)),
        (torchvision.models.convnext.LayerNorm2d(6), (3, 6, 4, 4)),
        (nn.GroupNorm(2, 6), (3, 6, 4, 4)),
        (nn.GroupNorm(1, 6, affine=False), (3, 6)),
    ],
    ids=["rows", "tokens", "bare", "maps", "groups", "bare groups"],
)
def test_a_norm_that_leaves_channels_out_is_the_norm_of_the_rest(norm, shape):
    norm = copy.deepcopy(norm)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    x, kept = torch.randn(shape), torch.tensor([0, 2, 3, 5])
    axis = 1 if isinstance(norm, nn.GroupNorm) or len(shape) == 4 else x.ndim - 1
    parts = {k: None if p is None else p[kept] for k, p in norm._parameters.items()}
    rest = x.index_select(axis, kept)
    if isinstance(norm, nn.GroupNorm):
        expected = F.group_norm(rest, norm.num_groups, parts["weight"], parts["bias"], norm.eps)
    else:
        turned = rest.movedim(axis, -1)
        expected = F.layer_norm(turned, (4,), parts["weight"], parts.get("bias"), norm.eps)
        expected = expected.movedim(-1, axis)
    plain, state = copy.deepcopy(norm), dict(norm.state_dict())
    leave_out(norm, torch.tensor([1]))
    leave_out(norm, torch.tensor([4]))  # one after the other
    found = norm(x)
    torch.testing.assert_close(found.index_select(axis, kept), expected)
    assert not found.index_select(axis, torch.tensor([1, 4])).any()
    assert list(norm.state_dict()) == list(state)
    copied = copy.deepcopy(norm)
    torch.testing.assert_close(copied(x), found)
    written = io.BytesIO()
    torch.save(norm, written)
    written.seek(0)
    torch.testing.assert_close(torch.load(written, weights_only=False)(x), found)
    plain_again(norm)
    assert type(norm) is type(plain) and torch.equal(norm(x), plain(x))


def test_masked_networks_are_pruned_again_and_masks_are_made_final():
    model, x = lively(NormedStream), rows(5, 8)
    masks = {"a": torch.arange(16) % 4 > 0, "up": torch.arange(40) % 2 > 0}
    masked, held = sl.apply_masks(model, masks, x), sl.attach_masks(model, masks, x)
    small = sl.shrink(model, masks, x)
    with torch.no_grad():
        expected = masked(x)
        assert relative_error(held(x), expected) < 1e-6
        assert relative_error(small(x), expected) < 1e-5
    assert type(small.n) is nn.LayerNorm and small.n.normalized_shape == (12,)
    # a masked copy shrinks by the same masks, and its norms are plain again
    again = sl.shrink(masked, masks, x)
    assert type(again.n) is nn.LayerNorm
    with torch.no_grad():
        assert relative_error(again(x), expected) < 1e-5
    held(x).sum().backward()  # it trains under its masks
    for module in list(held.modules()):
        for key in [k for k, _ in list(module.named_buffers(recurse=False)) if k.endswith("_mask")]:
            nn.utils.prune.remove(module, key.removesuffix("_mask"))
    with torch.no_grad():
        assert relative_error(sl.shrink(held, masks, x)(x), expected) < 1e-5


def test_pruned_norms_are_saved_loaded_and_rewound(tmp_path):
    model, x = lively(NormedStream), rows(5, 8)
    small = sl.prune(model, 0.5, "magnitude", data=x)
    sl.save_pruned(small, tmp_path / "small.pt")
    loaded = sl.load_pruned(NormedStream, tmp_path / "small.pt")
    with torch.no_grad():
        assert torch.equal(loaded(x), small(x))
    assert sl.rewind(small, model).n.normalized_shape == small.n.normalized_shape


def test_the_streams_of_convnext_can_go():
    torch.manual_seed(0)
    model = torchvision.models.convnext_tiny(weights=None, num_classes=5).eval()
    for key, parameter in model.named_parameters():
        if "layer_scale" in key:
            nn.init.uniform_(parameter, 0.5, 1.5)
    x = images(2, 64)
    layout = sl.find_groups(model, x)
    stream = next(iter(layout.groups.values()))
    assert stream.name == "features.0.0" and stream.units == 96 and len(stream.producers) > 3
    masks = sl.select(sl.score(model, "random", layout=layout), 0.4, "layerwise")
    with torch.no_grad():
        masked, small = (f(model, masks, x) for f in (sl.apply_masks, sl.shrink))
        assert relative_error(small(x), masked(x)) < 1e-4
        assert relative_error(model(x), masked(x)) > 1e-2
