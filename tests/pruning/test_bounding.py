"""The bound of what masks and pruned networks change."""

import pytest
import torch
from networks import convnet, dense_mlp, images, random_network, small
from torch import nn

import splinelib as sl
from splinelib.bounds import found_change

SQUARE = -torch.ones(2), torch.ones(2)


def test_masks_the_masked_copy_and_the_shrunk_network_have_one_bound():
    model = random_network([12, 12])
    masks = sl.select(sl.score(model, "magnitude", example=torch.zeros(1, 2)), 0.4, "layerwise")
    bounds = [
        sl.pruning_bound(model, pruned, SQUARE)
        for pruned in (masks, sl.apply_masks(model, masks), sl.shrink(model, masks))
    ]
    for bound in bounds[1:]:
        torch.testing.assert_close(bound.high, bounds[0].high)
    assert bounds[0].largest >= sl.difference(model, sl.apply_masks(model, masks)).largest
    plain = sl.pruning_bound(model, dict(masks), SQUARE, example=torch.zeros(1, 2))
    assert plain.largest == bounds[0].largest


def test_units_that_all_stay_change_nothing():
    model = random_network([6, 6])
    masks = sl.select(sl.score(model, "magnitude", example=torch.zeros(1, 2)), 0.0)
    assert sl.pruning_bound(model, masks, SQUARE).largest == 0.0


@pytest.mark.parametrize("make", [convnet, small])
@pytest.mark.parametrize("compensate", [False, "refit", "merge"])
def test_convolutions_batch_norm_and_every_compensation(make, compensate):
    model, x = make().eval(), images(64)
    if next(model.parameters()).shape[1] != x.shape[1]:
        x = x[:, :1] if next(model.parameters()).shape[1] == 1 else x.expand(-1, 3, -1, -1)
    pruned = sl.prune(model, 0.3, "magnitude", scope="layerwise", data=x, compensate=compensate)
    box = x[:2] - 0.02, x[:2] + 0.02
    bound = sl.pruning_bound(model, pruned, box)
    found = found_change(model, pruned, box, points=16)
    room = 1e-9 + 1e-9 * bound.sizes
    assert (bound.low - room <= found.low).all() and (found.high <= bound.high + room).all()
    assert bound.largest <= sl.pruning_bound(model, pruned, box, method="interval").largest


def test_what_cannot_be_bounded_is_refused():
    model, other = random_network([6]), random_network([7])
    masks = sl.select(sl.score(other, "magnitude", example=torch.zeros(1, 2)), 0.5)
    with pytest.raises(ValueError, match=r"(?i)model|layout|network"):
        sl.pruning_bound(model, masks, SQUARE)
    with pytest.raises(ValueError, match="no prunable group"):
        masks = {"nothing": torch.ones(3, dtype=torch.bool)}
        sl.pruning_bound(model, masks, SQUARE, example=torch.zeros(1, 2))
    with pytest.raises(ValueError, match="carries no record"):
        sl.pruning_bound(model, other, SQUARE)
    with pytest.raises(ValueError, match="plain dict"):
        sl.pruning_bound(model, {"0": torch.ones(6, dtype=torch.bool)}, SQUARE)
    smooth = random_network([6], activation=nn.GELU)
    with pytest.raises(sl.NotPiecewiseAffine, match="'1'"):
        sl.pruning_bound(smooth, smooth, SQUARE)
    with pytest.raises(ValueError, match="above"):
        sl.pruning_bound(model, model, SQUARE[::-1])
    with pytest.raises(ValueError, match="does not take inputs"):
        sl.pruning_bound(model, model, (torch.zeros(1, 5), torch.ones(1, 5)))


def test_margins_of_digits_are_certified():
    """Of an image in a small ball, the sign of every margin that the bound decides is right."""
    model = dense_mlp()
    width = model[0].in_features if isinstance(model[0], nn.Linear) else 64
    x = torch.randn(4, width, generator=torch.Generator().manual_seed(0))
    pruned = sl.prune(model, 0.3, "bend", example=x[:1], compensate="merge")
    bound = sl.pruning_bound(model, pruned, (x - 0.01, x + 0.01))
    with torch.no_grad():
        change = (pruned(x) - model(x)).double()
    assert (bound.low - 1e-5 <= change).all() and (change <= bound.high + 1e-5).all()
