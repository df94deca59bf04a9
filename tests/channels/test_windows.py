"""Swin's attention, opened and closed again."""

import pytest
import torch
from networks import images, relative_error
from torch import nn
from torchvision.models import swin_transformer as swin

import splinelib as sl
from splinelib.channels.attention import closed, opened, original_kind
from splinelib.channels.groups import find_groups
from splinelib.channels.surgery import shell
from splinelib.channels.windows import OpenWindowAttention
from splinelib.pruning.selection import Masks

KINDS = [swin.ShiftedWindowAttention, swin.ShiftedWindowAttentionV2]


def attention(kind, window, shift, **settings):
    torch.manual_seed(0)
    made = kind(16, window, shift, 4, **settings)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("window", "shift", "size"),
    [
        ([2, 2], [0, 0], (4, 6)),
        ([4, 4], [2, 2], (8, 8)),
        ([3, 4], [1, 2], (7, 9)),  # padded
        ([4, 4], [2, 2], (3, 9)),  # shifted along one axis only
        ([4, 4], [2, 2], (4, 3)),  # one window
    ],
)
def test_opened_windows_compute_the_same(kind, window, shift, size):
    torchs, x = attention(kind, window, shift), torch.randn(2, *size, 16)
    ours = opened(shell(torchs))
    assert type(ours) is OpenWindowAttention and ours.num_heads == 4
    assert original_kind(ours) is kind
    with torch.no_grad():
        assert torch.allclose(ours(x), torchs(x), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_closing_brings_back_what_was(kind):
    torchs = attention(kind, [2, 2], [1, 1])
    again = closed(opened(shell(torchs)))
    assert type(again) is kind and vars(again).keys() == vars(torchs).keys()
    assert again.num_heads == 4


def test_layers_without_a_bias():
    torchs, x = attention(KINDS[1], [2, 2], [1, 1], qkv_bias=False), torch.randn(2, 4, 4, 16)
    with torch.no_grad():
        assert torch.allclose(opened(shell(torchs))(x), torchs(x), atol=1e-5)


def transformer(version=1):
    torch.manual_seed(0)
    second = {
        "block": swin.SwinTransformerBlockV2,
        "downsample_layer": swin.PatchMergingV2,
    }
    settings = second if version == 2 else {}
    model = swin.SwinTransformer([2, 2], 16, [1, 2], [2, 4], [2, 2], num_classes=5, **settings)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 or "table" in name:
            nn.init.normal_(parameter, std=0.5)
    return model.eval()


@pytest.mark.parametrize("version", [1, 2])
def test_swin_is_pruned_whole(version, tmp_path):
    model, x = transformer(version).double(), images(2, 12).double()
    layout = find_groups(model, x)
    heads = {name: group.units for name, group in layout.groups.items() if group.heads}
    attentions = ["features.1.0.attn", "features.3.0.attn", "features.3.1.attn"]
    assert heads == dict(zip([f"{name}.qkv" for name in attentions], (2, 4, 4), strict=True))
    assert {"features.0.0", "features.2.reduction"} <= set(layout.groups)
    assert set(layout.fixed) == {"head"}
    masks = {name: torch.arange(group.units) % 2 == 1 for name, group in layout.groups.items()}
    for some in (masks, {name: masks[name] for name in heads}):
        with torch.no_grad():
            masked, small = (
                change(model, Masks(some, layout)) for change in (sl.apply_masks, sl.shrink)
            )
            assert relative_error(small(x), masked(x)) < 1e-6
            assert relative_error(small(x), model(x)) > 1e-3
        assert small.features[3][0].attn.num_heads == 2
        assert type(masked.features[1][0].attn) is KINDS[version - 1]
        sl.save_pruned(small, tmp_path / "small.pt")
        again = sl.load_pruned(lambda: transformer(version).double(), tmp_path / "small.pt")
        assert torch.equal(again(x), small(x))
