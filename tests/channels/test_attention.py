"""Attention of torch, opened and closed again."""

import copy
import io
import warnings

import pytest
import torch
from networks import images, relative_error
from torch import nn
from torch.nn.utils import prune
from torchvision.models import VisionTransformer

import splinelib as sl
from splinelib.channels.attention import OpenAttention, closed, has_opened, opened, original_kind
from splinelib.channels.groups import find_groups
from splinelib.channels.surgery import shell
from splinelib.pruning.selection import Masks

MASK = torch.rand(6, 6, generator=torch.Generator().manual_seed(1)) < 0.3
MASK.fill_diagonal_(False)
PADDED = torch.zeros(3, 6, dtype=torch.bool)
PADDED[1, 4:] = True


def tokens(*shape, seed=0):
    return torch.randn(*shape, 16, generator=torch.Generator().manual_seed(seed))


def attention(**settings):
    torch.manual_seed(0)
    made = nn.MultiheadAttention(16, 4, **settings)
    if made.in_proj_bias is not None:
        nn.init.normal_(made.in_proj_bias)
        nn.init.normal_(made.out_proj.bias)
    return made


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"need_weights": False},
        {"average_attn_weights": False},
        {"attn_mask": MASK},
        {"attn_mask": MASK * -2.5, "need_weights": False},
        {"attn_mask": MASK.expand(12, 6, 6)},
        {"key_padding_mask": PADDED},
        {"key_padding_mask": PADDED, "attn_mask": MASK, "need_weights": False},
        {
            "attn_mask": torch.ones(6, 6, dtype=torch.bool).triu(1),
            "is_causal": True,
            "need_weights": False,
        },
    ],
)
@pytest.mark.parametrize(
    "settings", [{"batch_first": True}, {}, {"batch_first": True, "bias": False}]
)
@pytest.mark.parametrize("across", [False, True])
def test_opened_attention_computes_the_same(asked, settings, across):
    torchs = attention(**settings).eval()
    x = tokens(3, 6)
    y = tokens(3, 6, seed=1) if across else x
    if not settings.get("batch_first"):
        x, y = x.transpose(0, 1), y.transpose(0, 1) if across else x.transpose(0, 1)
    y = y if across else x
    ours = opened(shell(torchs))
    with torch.no_grad():
        expected, found = (each(x, y, y, **asked) for each in (torchs, ours))
    for one, other in zip(expected, found, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, atol=1e-6)


def test_a_single_sequence_needs_no_axis_for_inputs():
    torchs, x = attention().eval(), tokens(6)
    for expected, found in zip(torchs(x, x, x), opened(shell(torchs))(x, x, x), strict=True):
        assert expected.shape == found.shape and torch.allclose(expected, found, atol=1e-6)


def test_opening_changes_no_parameter_and_closing_brings_back_what_was():
    model = nn.Sequential(nn.Linear(16, 16), attention())
    scratch = opened(shell(model))
    assert type(scratch[1]) is OpenAttention and original_kind(scratch[1]) is nn.MultiheadAttention
    assert scratch[1].in_proj.weight is model[1].in_proj_weight and scratch[1].num_heads == 4
    assert scratch[1].in_proj_bias is model[1].in_proj_bias
    again = closed(scratch)
    assert type(again[1]) is nn.MultiheadAttention and original_kind(again[0]) is nn.Linear
    assert vars(again[1]).keys() == vars(model[1]).keys()
    names = [name for name, _ in model.named_parameters()]
    assert [name for name, _ in again.named_parameters()] == names
    parameters = zip(again.parameters(), model.parameters(), strict=True)
    assert all(one is other for one, other in parameters)


@pytest.mark.parametrize(
    "settings", [{"add_bias_kv": True}, {"add_zero_attn": True}, {"kdim": 8, "vdim": 8}]
)
def test_attention_of_another_kind_stays_closed(settings):
    model = attention(**settings)
    assert type(opened(shell(model))) is nn.MultiheadAttention


def test_a_weight_that_a_mask_makes_is_left_to_it():
    model = prune.random_unstructured(attention(), "in_proj_weight", 0.5)
    assert type(opened(shell(model))) is nn.MultiheadAttention


def test_subclasses_stay_closed():
    class Own(nn.MultiheadAttention):
        pass

    assert type(opened(Own(16, 4))) is Own


def layer(**settings):
    torch.manual_seed(0)
    settings = {"dim_feedforward": 40, "batch_first": True} | settings
    parts = [nn.Linear(16, 16), nn.TransformerEncoderLayer(16, 4, **settings), nn.Linear(16, 3)]
    return nn.Sequential(*parts).eval()


def check_agreement(model, x, keep=lambda units: torch.arange(units) % 2 == 0):
    layout = find_groups(model, x)
    masks = Masks({name: keep(group.units) for name, group in layout.groups.items()}, layout)
    with torch.no_grad():
        masked, small = (change(model, masks) for change in (sl.apply_masks, sl.shrink))
        assert relative_error(small(x), masked(x)) < 1e-6
        assert relative_error(small(x), model(x)) > 1e-3
    return {name: group.units for name, group in layout.groups.items()}, small


@pytest.mark.parametrize("settings", [{}, {"batch_first": False}, {"norm_first": True}])
def test_layers_of_transformers_that_torch_would_fuse(settings):
    model = layer(**settings).double()
    units, small = check_agreement(model, tokens(3, 5).double())
    assert units == {"0": 16, "1.self_attn.in_proj": 4, "1.linear1": 40}
    assert small[1].self_attn.num_heads == 2 and small[1].linear1.out_features == 20


def vision_transformer():
    torch.manual_seed(0)
    model = VisionTransformer(8, 4, 2, 4, 16, 32, num_classes=5)
    nn.init.normal_(model.heads.head.weight)
    nn.init.normal_(model.class_token)
    return model.eval()


def test_the_transformer_of_torchvision_is_pruned_whole():
    model, x = vision_transformer().double(), images(3).double()
    units, small = check_agreement(model, x)
    blocks = [f"encoder.layers.encoder_layer_{b}" for b in (0, 1)]
    heads = {f"{block}.self_attention.in_proj": 4 for block in blocks}
    assert units == {"conv_proj": 16, **heads, **{f"{block}.mlp.0": 32 for block in blocks}}
    assert small.hidden_dim == 8 and small.encoder.pos_embedding.shape == (1, 5, 8)
    assert set(find_groups(model, x).fixed) == {"heads.head"}
    # as many heads as the stream has room for: torch's own attention again
    assert type(small.encoder.layers[0].self_attention) is nn.MultiheadAttention
    assert small.encoder.layers[0].self_attention.embed_dim == 8


def test_one_head_of_torchs_is_left_at_least():
    units, small = check_agreement(
        vision_transformer().double(),
        images(3).double(),
        lambda n: torch.arange(n) >= min(n - 1, 9),
    )
    assert len(units) == 5 and small.encoder.layers[1].self_attention.num_heads == 1


@pytest.mark.parametrize("chosen", ["all", "heads"])
def test_pruned_attention_comes_back_from_a_file_and_is_pruned_again(tmp_path, chosen):
    model, x = vision_transformer(), images(3)
    layout = find_groups(model, x)
    masks = {
        name: torch.arange(group.units) < group.units // 2
        for name, group in layout.groups.items()
        if chosen == "all" or group.heads
    }
    small = sl.shrink(model, masks, x)
    sl.save_pruned(small, tmp_path / "small.pt")
    again = sl.load_pruned(vision_transformer, tmp_path / "small.pt")
    assert again.state_dict().keys() == small.state_dict().keys()
    assert torch.equal(again(x), small(x)) and repr(again) == repr(small)
    ticket = sl.rewind(small, model)
    assert torch.equal(ticket(x), small(x))
    buffer = io.BytesIO()
    torch.save(copy.deepcopy(small), buffer)
    assert torch.equal(torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)(x), small(x))
    twice = sl.prune(small, 0.5, "magnitude", "layerwise", example=x)
    assert twice.encoder.layers[0].self_attention.num_heads == 1
    sl.save_pruned(twice, tmp_path / "twice.pt")
    assert torch.equal(sl.load_pruned(vision_transformer, tmp_path / "twice.pt")(x), twice(x))


def test_units_alone_leave_torchs_attention_as_it_is():
    model, x = vision_transformer(), images(3)
    small = sl.shrink(model, {"encoder.layers.encoder_layer_0.mlp.0": torch.arange(32) > 3}, x)
    assert small.state_dict().keys() == model.state_dict().keys()
    assert "kept" in small.pruning_record and "in_proj_weight" in str(small.pruning_record)


def test_masks_are_held_while_fewer_heads_train():
    model, x = layer(), tokens(3, 5)
    heads = torch.tensor([True, False, True, True])
    masks = {"1.self_attn.in_proj": heads}
    held = sl.attach_masks(model, masks, x).train()
    torch.optim.SGD(held.parameters(), 0.1).zero_grad()
    held(x).square().sum().backward()
    grad = held[1].self_attn.out_proj.weight_orig.grad.view(16, 4, 4)
    assert not grad[:, 1].any() and grad[:, 0].any()
    with torch.no_grad():
        assert relative_error(held.eval()(x), sl.apply_masks(model, masks, x)(x)) < 1e-5


def test_least_squares_looks_at_what_the_heads_say():
    model, x = vision_transformer(), images(128)
    assert "encoder.layers.encoder_layer_0.self_attention.in_proj" in sl.score(model, "lsq", data=x)
    pruner = sl.Pruner(model, data=x)
    without, refit = (
        pruner.prune(0.5, "magnitude", "layerwise", compensate) for compensate in (False, "refit")
    )
    with torch.no_grad():
        errors = [(small(x) - model(x)).square().sum() for small in (without, refit)]
    assert errors[1] < 0.5 * errors[0]


def test_weights_of_attention_that_go_out_keep_the_heads():
    class Shown(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.attention, self.last = nn.Linear(16, 16), attention(), nn.Linear(16, 3)

        def forward(self, x):
            y, weights = self.attention(*[self.first(x).transpose(0, 1)] * 3)
            return self.last(y), weights

    layout = find_groups(Shown().eval(), tokens(3, 5))
    assert list(layout.groups) == ["first", "attention.out_proj"]
    assert "outputs differ" in layout.fixed["attention.in_proj"]


def test_attention_that_stays_says_why():
    class Extra(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = attention(add_bias_kv=True, batch_first=True)
            self.up, self.down = nn.Linear(16, 40), nn.Linear(40, 3)

        def forward(self, x):
            return self.down(self.up(self.attention(x, x, x)[0]).relu())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layout = find_groups(Extra().eval(), tokens(3, 5))
    assert list(layout.groups) == ["up"]
    assert "not called" in layout.fixed["attention.out_proj"]
    assert "MultiheadAttention" in layout.fixed["attention"]


def test_whether_attention_is_open():
    model = nn.Sequential(nn.Linear(16, 16), attention())
    assert not has_opened(model) and has_opened(opened(model)) and not has_opened(closed(model))
