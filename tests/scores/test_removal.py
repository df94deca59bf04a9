"""Prices of a removal."""

import pytest
import torch

from splinelib import redundancy


def test_one_price_makes_the_summed_residual_least():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        groups = []
        for units in (5, 7):
            order = torch.randperm(units, generator=generator)
            cost = torch.empty(units, dtype=torch.float64)
            cost[order] = torch.rand(units, generator=generator, dtype=torch.float64).cumsum(0)
            groups.append(redundancy.Removal(order, cost))
        scores = [redundancy.prices(group) for group in groups]
        for group, values in zip(groups, scores, strict=True):
            assert (values[group.order].diff() > 0).all()
            assert values.sum().item() == pytest.approx(group.cost.max().item())
        along = [torch.cat([torch.zeros(1), g.cost[g.order]]) for g in groups]
        # Where a threshold falls between two stretches, no other split loses less.
        for threshold in torch.cat(scores).tolist():
            taken = [int((values <= threshold + 1e-9).sum()) for values in scores]
            lost = sum(curve[n] for curve, n in zip(along, taken, strict=True))
            splits = [(n, sum(taken) - n) for n in range(6) if 0 <= sum(taken) - n <= 7]
            assert lost <= min(along[0][a] + along[1][b] for a, b in splits) + 1e-9
