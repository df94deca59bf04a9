"""Transformers are scored, selected and compensated as other networks are, heads among them."""

import pytest
import torch
from networks import SplitAttention, Transformer, images

import splinelib as sl

HEADS, SIZE = "blocks.0.attention.qkv", 4


def transformer(**settings):
    return Transformer(blocks=1, **settings).eval()


def error(small, dense, x):
    with torch.no_grad():
        return ((small(x) - dense(x)).square().sum() / dense(x).square().sum()).item()


@torch.no_grad()
def with_a_head_that_another_says(first=0, copy=2):
    """A head that compares the tokens as another does, and says a linear map of what it says."""
    model = transformer()
    qkv = model.blocks[0].attention.qkv
    mix = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    for tensor in (qkv.weight, qkv.bias):
        parts = tensor.view(3, 4, SIZE, -1)
        parts[:2, copy] = parts[:2, first]
        parts[2, copy] = mix @ parts[2, first]
    return model


@pytest.mark.parametrize("criterion", sorted(set(sl.CRITERIA) - {"spline", "codes", "bn"}))
def test_criteria_score_each_head(criterion):
    labels = torch.arange(64) % 5
    scores = sl.score(transformer(), criterion, data=images(64), labels=labels)
    units = {name: len(values) for name, values in scores.items()}
    assert units == {"patches": 16, HEADS: 4, "blocks.0.mlp.0": 32}
    assert len(set(scores[HEADS].tolist())) == 4


@pytest.mark.parametrize("criterion", ["spline", "codes"])
def test_criteria_that_compare_lines_leave_heads_whole_and_say_so(criterion):
    with pytest.warns(UserWarning, match=f"heads of attention draw none: groups .'{HEADS}'"):
        scores = sl.score(transformer(), criterion, data=images(64))
    assert set(scores) == {"patches", "blocks.0.mlp.0"}


def test_a_network_of_heads_alone_has_no_lines_to_compare():
    class Heads(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = SplitAttention(16, 4)

        def forward(self, x):
            return self.attention(x)

    with pytest.raises(ValueError, match=r"'spline' can judge no layer .* heads of attention draw"):
        sl.score(Heads().eval(), "spline", example=torch.randn(2, 5, 16))


def test_the_magnitude_of_a_head_is_that_of_all_its_rows():
    model = transformer(attention=SplitAttention)
    attention, expected = model.blocks[0].attention, 0
    for layer in (attention.q, attention.k, attention.v):
        rows = layer.weight.detach().abs().sum(1).view(4, SIZE).sum(1)
        expected = expected + rows / rows.mean() / 3
    found = sl.score(model, "magnitude", example=images(1))["blocks.0.attention.q"]
    assert torch.allclose(found, expected, rtol=1e-5)


def test_least_squares_finds_the_head_that_another_can_rebuild():
    model, x = with_a_head_that_another_says(), images(256)
    scores = sl.score(model, "lsq", data=x)[HEADS]
    lowest = int(scores.argmin())
    assert lowest in {0, 2}
    assert scores[lowest] < 0.2 * scores[[h for h in range(4) if h != lowest]].min()
    masks = {HEADS: torch.arange(4) != lowest}
    cut, refit, fold = (
        error(sl.shrink(model, masks, x, data=x, compensate=how), model, x)
        for how in (False, "refit", "fold")
    )
    assert max(refit, fold) < 1e-4 * cut


def test_heads_that_are_read_in_many_columns_are_kept_apart(monkeypatch):
    model, x = with_a_head_that_another_says(), images(256)
    before = sl.score(model, "lsq", data=x)[HEADS]
    monkeypatch.setattr("splinelib.scores.least_squares.MAX_COLUMNS", 8)
    assert torch.equal(sl.score(model, "lsq", data=x)[HEADS], before)


@pytest.mark.parametrize("criterion", ["magnitude", "lsq", "thinet"])
@pytest.mark.parametrize("scope", ["layerwise", "global", "residual"])
def test_a_ratio_is_honoured_to_the_unit_and_compensation_never_harms(criterion, scope):
    model, x = transformer(), images(128)
    pruner = sl.Pruner(model, data=x)
    for ratio in (0.25, 0.6):
        ways = (False, "refit", "fold")
        smaller = [pruner.prune(ratio, criterion, scope, compensate) for compensate in ways]
        for small in smaller:
            block = small.blocks[0]
            left = small.positions.shape[2] + block.mlp[0].out_features
            left += block.attention.qkv.out_features // (3 * SIZE)
            assert left == 52 - int(ratio * 52 + 0.5)
        without, refit, fold = (error(small, model, x) for small in smaller)
        assert max(refit, fold) <= without * (1 + 1e-6)


def test_layerwise_takes_its_share_of_the_heads():
    model = transformer()
    small = sl.prune(model, 0.75, "magnitude", "layerwise", example=images(1))
    assert small.blocks[0].attention.qkv.out_features == 3 * SIZE
    assert small.positions.shape[2] == 4 and small.blocks[0].mlp[0].out_features == 8


@pytest.mark.parametrize("labels", [None, torch.arange(128) % 5])
def test_the_best_way_known_takes_transformers(labels):
    model, x = transformer(), images(128)
    small = sl.prune(model, 0.5, data=x, labels=labels)
    plain = sl.prune(model, 0.5, "lsq", data=x)
    assert error(small, model, x) < 0.5 * error(plain, model, x)


def test_without_data_heads_go_by_their_lengths_and_nothing_takes_over():
    model = transformer()
    with torch.no_grad():
        model.blocks[0].attention.proj.weight[:, SIZE : 2 * SIZE] *= 1e-3
    with pytest.warns(UserWarning, match="cannot be followed without inputs"):
        small = sl.prune(model, 0.5, example=images(1))
    kept = small.pruning_record["kept"]["blocks.0.attention.proj"]["in"].tolist()
    assert not set(range(SIZE, 2 * SIZE)) & set(kept)
