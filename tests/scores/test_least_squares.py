"""What the other units can rebuild."""

import pytest
import torch
from networks import block_of, convnet, grouped, images

import splinelib as sl
from splinelib.channels.groups import find_groups
from splinelib.scores import downdate, least_squares
from splinelib.scores.least_squares import Reader, least_squares_order, residual_along


def test_lsq_costs_compare_between_layers():
    """The widest gap between groups after a cut at one residual is one removal."""
    model, data = convnet(), images(200)
    scores = sl.score(model, "lsq", data=data)
    masks = sl.select(scores, 0.4)
    gone = torch.cat([scores[name][~masks[name]] for name in scores])
    stays = torch.cat([scores[name][masks[name]] for name in scores])
    assert gone.max() <= stays.min()


def regression_problem(units, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    columns = units * width
    mix = torch.randn(columns // 2 + 1, columns, generator=generator, dtype=torch.float64)
    x = torch.randn(500, len(mix), generator=generator, dtype=torch.float64) @ mix
    x += 0.3 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    x -= x.mean(0)
    weight = torch.randn(6, columns, generator=generator, dtype=torch.float64)
    gram = x.T @ x / len(x)
    return (
        x,
        weight,
        Reader(gram, x.mean(0), weight.T @ weight, (x @ weight.T).square().sum(1).mean().item()),
    )


@pytest.mark.parametrize("waiting", [1, 8, 64])  # each step at once, two or eight, all at the end
@pytest.mark.parametrize("width", [1, 4])
def test_least_squares_cost_is_the_residual_of_a_refit(width, waiting, monkeypatch):
    monkeypatch.setattr(downdate, "_WAITING", waiting)
    units = 10
    x, weight, reader = regression_problem(units, width)
    removal = least_squares_order([reader], units, ridge=1e-12)
    target = x @ weight.T
    for gone in (1, 4, 9):
        stays = torch.ones(units, dtype=torch.bool)
        stays[removal.order[:gone]] = False
        kept = x[:, stays.repeat_interleave(width)]
        fitted = kept @ torch.linalg.lstsq(kept, target).solution
        residual = (target - fitted).square().sum() / target.square().sum()
        assert removal.cost[removal.order[gone - 1]].item() == pytest.approx(
            residual.item(), rel=1e-5
        )
    assert removal.cost.max().item() == pytest.approx(1, rel=1e-6)  # all gone: all lost


def test_least_squares_order_is_greedy():
    units = 7
    _, _, reader = regression_problem(units, 1, seed=2)
    removal = least_squares_order([reader], units, ridge=1e-10)
    first = min(range(units), key=lambda u: residual_of([reader], [u], units))
    assert removal.order[0].item() == first
    second = min(
        (u for u in range(units) if u != first),
        key=lambda u: residual_of([reader], [first, u], units),
    )
    assert removal.order[1].item() == second


def residual_of(readers, gone, units):
    rest = [u for u in range(units) if u not in gone]
    return residual_along(readers, torch.tensor(gone + rest), ridge=1e-10)[gone[-1]].item()


@pytest.mark.parametrize("waiting", [1, 6, 64])
def test_residual_along_the_greedy_order_is_its_cost(waiting, monkeypatch):
    """Of two readers of which one makes its steps more often than the other."""
    monkeypatch.setattr(downdate, "_WAITING", waiting)
    _, _, one = regression_problem(8, 1, seed=3)
    _, _, other = regression_problem(8, 2, seed=4)
    removal = least_squares_order([one, other], 8)
    torch.testing.assert_close(residual_along([one, other], removal.order), removal.cost)


def test_dead_units_cost_nothing():
    _, weight, reader = regression_problem(6, 1)
    gram = reader.gram.clone()
    gram[2], gram[:, 2] = 0, 0
    removal = least_squares_order([Reader(gram, reader.mean, weight.T @ weight, reader.energy)], 6)
    assert removal.order[0].item() == 2
    assert removal.cost[2].item() < 1e-9


@pytest.mark.parametrize("columns", [1536, 0])
def test_blocks_of_a_grouped_convolution_are_readers_like_layers_of_their_own(columns, monkeypatch):
    monkeypatch.setattr(least_squares, "MAX_COLUMNS", columns)
    model, data = grouped(read=3, made=4, blocks=2), images(40)

    def readers(model):
        return least_squares.readers(model, find_groups(model, data), data)["0"]

    found = readers(model)
    alone = [readers(torch.nn.Sequential(*block_of(model, b), torch.nn.Flatten())) for b in (0, 1)]
    assert len(found) == 2
    for reader, (other,) in zip(found, alone, strict=True):
        assert reader.gram.shape == ((27, 27) if columns else (3, 3))
        for one, two in zip(reader[:3], other[:3], strict=True):
            torch.testing.assert_close(one, two)
        assert reader.energy == pytest.approx(sum(r.energy for (r,) in alone))
