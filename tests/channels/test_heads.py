"""Heads of attention and residual streams of transformers are groups like any others."""

import pytest
import torch
import torch.nn.functional as F
from networks import SelfAttention, SplitAttention, Transformer, by_hand, images, relative_error
from torch import nn

import splinelib as sl
from splinelib.channels.groups import find_groups
from splinelib.cost.flops import forward_flops
from splinelib.pruning.selection import Masks

FORMS = {
    "fused": {},
    "by hand": {"attend": by_hand},
    "split": {"attention": SplitAttention},
    "split by hand": {"attention": SplitAttention, "attend": by_hand},
    "mean of tokens": {"token": False},
    "einsum": {
        "attend": lambda q, k, v: torch.einsum(
            "nhts,nhsd->nhtd", torch.einsum("nhtd,nhsd->nhts", q / 2, k).softmax(-1), v
        )
    },
    "causal": {"attend": lambda *qkv: F.scaled_dot_product_attention(*qkv, is_causal=True)},
    "masked": {
        "attend": lambda q, k, v: F.scaled_dot_product_attention(
            q, k, v, torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril()
        )
    },
}


def check_agreement(model, layout, masks, x):
    """The smaller network gives what the masked one does, and something else than the whole one."""
    masks = Masks(masks, layout)
    with torch.no_grad():
        masked, small = (change(model, masks)(x) for change in (sl.apply_masks, sl.shrink))
        assert relative_error(small, masked) < 1e-6
        assert relative_error(small, model(x)) > 1e-3


@pytest.mark.parametrize("form", FORMS)
def test_heads_the_stream_and_units_are_groups(form):
    model, x = Transformer(**FORMS[form]).eval(), images(3)
    layout = find_groups(model, x)
    first = "q" if "split" in form else "qkv"
    assert {(name, group.units, group.heads) for name, group in layout.groups.items()} == {
        ("patches", 16, False),
        *((f"blocks.{b}.attention.{first}", 4, True) for b in (0, 1)),
        *((f"blocks.{b}.mlp.0", 32, False) for b in (0, 1)),
    }
    assert "blocks.0.attention.proj" not in layout.fixed
    masks = {name: torch.arange(group.units) % 2 == 1 for name, group in layout.groups.items()}
    check_agreement(model.double(), layout, masks, x.double())


@pytest.mark.parametrize("chosen", ["patches", "blocks.0.attention.qkv", "blocks.1.mlp.0"])
@pytest.mark.parametrize("first", [True, False])
def test_half_of_each_group_goes_alone(chosen, first):
    model, x = Transformer().eval(), images(3)
    layout = find_groups(model, x)
    units = layout.groups[chosen].units
    keep = (torch.arange(units) < units // 2) == first
    check_agreement(model.double(), layout, {chosen: keep}, x.double())


def test_a_head_owns_its_rows_of_queries_keys_and_values():
    fused, split = (
        find_groups(Transformer(kind).eval(), images(2)).groups[f"blocks.0.attention.{first}"]
        for kind, first in ((SelfAttention, "qkv"), (SplitAttention, "q"))
    )
    members = {(m.module.rsplit(".")[-1], m.role): m.indices for m in fused.members}
    assert members.keys() == {("qkv", "out"), ("proj", "in")}
    assert members["qkv", "out"][1].tolist() == [*range(4, 8), *range(20, 24), *range(36, 40)]
    assert members["proj", "in"][1].tolist() == [*range(4, 8)]
    members = {(m.module.rsplit(".")[-1], m.role): m.indices for m in split.members}
    assert members.keys() == {("q", "out"), ("k", "out"), ("v", "out"), ("proj", "in")}
    assert all(indices[1].tolist() == [*range(4, 8)] for indices in members.values())


def test_the_stream_takes_tokens_positions_and_norms_along():
    group = find_groups(Transformer().eval(), images(2)).groups["patches"]
    sides = {(m.module, m.role) for m in group.members}
    assert {("", "token:2"), ("", "positions:2"), ("norm", "channel"), ("head", "in")} <= sides
    assert ("blocks.1.attention.qkv", "in") in sides and ("blocks.1.attention.proj", "out") in sides


@pytest.mark.parametrize("form", ["fused", "split by hand"])
def test_one_head_is_left_at_least(form):
    model, x = Transformer(**FORMS[form]).eval(), images(3)
    layout = find_groups(model, x)
    heads = [name for name, group in layout.groups.items() if group.heads]
    for kept in (0, 3):
        masks = {name: torch.arange(4) == kept for name in heads}
        check_agreement(model.double(), layout, masks, x.double())


def test_a_lone_head_stays():
    class Alone(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.last = SelfAttention(16, 1), nn.Linear(16, 3)

        def forward(self, x):
            return self.last(F.relu(self.attention(x)))

    layout = find_groups(Alone().eval(), torch.randn(2, 5, 16))
    assert list(layout.groups) == ["attention.proj"]
    assert "has one head only" in layout.fixed["attention.qkv"]


def test_heads_that_share_keys_stay():
    class Shared(SplitAttention):
        def __init__(self, dim, heads):
            super().__init__(dim, heads)
            self.k, self.v = nn.Linear(dim, dim // 2), nn.Linear(dim, dim // 2)
            self.attend = lambda *qkv: F.scaled_dot_product_attention(*qkv, enable_gqa=True)

    layout = find_groups(Transformer(Shared).eval(), images(2))
    assert not any(group.heads for group in layout.groups.values())
    for layer in "qkv":
        assert layout.fixed[f"blocks.0.attention.{layer}"]


def test_a_number_of_heads_that_is_written_down_keeps_them():
    class Counted(SelfAttention):
        def queries_keys_values(self, x):
            return self.qkv(x).unflatten(2, (3, 4, -1)).permute(2, 0, 3, 1, 4)

    layout = find_groups(Transformer(Counted).eval(), images(2))
    assert list(layout.groups) == ["patches", "blocks.0.mlp.0", "blocks.1.mlp.0"]
    assert "does not do what masking" in layout.fixed["blocks.0.attention.qkv"]


class Counted(SelfAttention):
    """It keeps numbers, as most attention that people write does."""

    def __init__(self, dim, heads):
        super().__init__(dim, heads)
        self.num_heads, self.attn_dim = heads, dim

    def queries_keys_values(self, x):
        return self.qkv(x).view(*x.shape[:2], 3, self.num_heads, self.size).permute(2, 0, 3, 1, 4)

    def forward(self, x):
        y = self.attend(*self.queries_keys_values(x)).transpose(1, 2)
        return self.proj(y.reshape(*x.shape[:2], self.attn_dim))


def test_numbers_of_heads_that_a_module_keeps_are_brought_up_to_date(tmp_path):
    model, x = Transformer(Counted).eval().double(), images(3).double()
    layout = find_groups(model, x)
    heads = [name for name, group in layout.groups.items() if group.heads]
    assert heads == [f"blocks.{b}.attention.qkv" for b in (0, 1)]
    masks = {name: torch.arange(4) > 0 for name in heads}
    check_agreement(model, layout, masks, x)
    small = sl.shrink(model, Masks(masks, layout))
    assert small.blocks[0].attention.num_heads == 3 and small.blocks[0].attention.attn_dim == 12
    assert model.blocks[0].attention.num_heads == 4
    sl.save_pruned(small, tmp_path / "small.pt")
    again = sl.load_pruned(lambda: Transformer(Counted).double(), tmp_path / "small.pt")
    assert torch.equal(again.eval()(x), small(x))
    twice = sl.prune(again, 0.5, "magnitude", "layerwise", example=x)
    assert twice.blocks[0].attention.num_heads in {1, 2} and twice(x).shape == (3, 5)


def test_numbers_that_count_something_else_keep_the_heads():
    class Scaled(Counted):
        def forward(self, x):
            return super().forward(x) * self.num_heads

    layout = find_groups(Transformer(Scaled).eval(), images(2))
    assert not any(group.heads for group in layout.groups.values())
    assert "does not do what masking" in layout.fixed["blocks.0.attention.qkv"]


def test_a_scale_that_counts_heads_keeps_them():
    class Counting(SelfAttention):
        def forward(self, x):
            return super().forward(x) / (self.qkv.out_features // (3 * self.size))

    layout = find_groups(Transformer(Counting).eval(), images(2))
    assert not any(group.heads for group in layout.groups.values())
    assert "does not do what masking" in layout.fixed["blocks.0.attention.qkv"]


def test_fewer_heads_come_back_from_a_file(tmp_path):
    model, x = Transformer().eval(), images(3)
    layout = find_groups(model, x)
    masks = {name: torch.arange(g.units) % 2 == 0 for name, g in layout.groups.items()}
    small = sl.shrink(model, masks, x)
    assert small.blocks[0].attention.qkv.weight.shape == (24, 8)
    assert small.positions.shape == (1, 5, 8) and small.norm.normalized_shape == (8,)
    sl.save_pruned(small, tmp_path / "small.pt")
    again = sl.load_pruned(Transformer, tmp_path / "small.pt")
    assert torch.equal(again(x), small(x))
    twice = sl.prune(small, 0.5, "magnitude", "layerwise", example=x)
    assert twice.blocks[0].attention.qkv.weight.shape == (12, 4)


def test_the_cost_of_attention_falls_with_its_heads():
    model, x = Transformer(blocks=1).eval(), images(1)
    masks = {"blocks.0.attention.qkv": torch.tensor([True, False, False, False])}
    gone = forward_flops(model, x) - forward_flops(sl.shrink(model, masks, x), x)
    tokens, size, heads, dim = 5, 4, 3, 16
    layers = 2 * tokens * dim * (3 * size + size)  # qkv and proj
    products = 2 * 2 * tokens * tokens * size  # scores, and means of values
    assert gone == heads * (layers + products)
