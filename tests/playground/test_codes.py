"""Codes of probe points in the browser, their distance, and the early bird are the library's."""

import pytest
import torch
from networks import random_network

import splinelib as sl

CALL = """([texts, threshold, lookback]) => {
    const [bird, grid] = [new EarlyBird(threshold, lookback), probeGrid()];
    for (const text of texts) bird.update(codesAt(fromJson(text), grid));
    return [bird.epoch, bird.distances.map(d => Number.isNaN(d) ? null : d), [...grid]];
}"""


def settling(epochs=12) -> list:
    """Networks that move less and less."""
    start, aim = (random_network([6, 4], seed).double().state_dict() for seed in (1, 2))
    for epoch in range(epochs):
        model = random_network([6, 4]).double()
        share = 0.5**epoch
        model.load_state_dict({k: share * start[k] + (1 - share) * aim[k] for k in aim})
        yield model


@pytest.mark.parametrize(("threshold", "lookback"), [(0.16, 3), (0.05, 2), (1e-9, 3)])
def test_the_early_bird_is_the_library_s(modules, threshold, lookback):
    models, detector = list(settling()), sl.EarlyBird(threshold, lookback)
    texts = [sl.models.to_json(model) for model in models]
    epoch, distances, grid = modules(CALL, [texts, threshold, lookback])
    probes = torch.tensor(grid, dtype=torch.float64).view(-1, 2)
    for model in models:
        detector.update(sl.region_codes(model, probes))
    assert epoch == detector.epoch
    assert distances[:lookback] == [None] * lookback
    assert distances[lookback:] == pytest.approx(detector.distances[lookback:], abs=1e-12)


def test_a_network_that_loses_a_unit_starts_anew(modules):
    models = [random_network([6, 4], seed).double() for seed in (1, 1)]
    models += [random_network([5, 4], seed).double() for seed in (1, 1)]
    epoch, distances, _ = modules(CALL, [[sl.models.to_json(m) for m in models], 0.16, 1])
    assert (epoch, distances) == (1, [None, 0])
