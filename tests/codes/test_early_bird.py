"""The early bird fires by the rule of the released code, and on nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import splinelib as sl


def codes(bits):
    return sl.RegionCodes.from_bool({"a": np.asarray(bits)})


def epochs(flips, bits=1000, seed=0):
    """One code per epoch; between epochs a given number of bits flips, never the same twice."""
    rng = np.random.default_rng(seed)
    current = rng.random((1, bits)) < 0.5
    order, used = rng.permutation(bits), 0
    yield codes(current)
    for count in flips:
        current = current.copy()
        current[0, order[used : used + count]] ^= True
        used += count
        yield codes(current)


def test_fires_at_the_first_epoch_close_to_each_of_the_last_three():
    detector = sl.EarlyBird(threshold=0.16, lookback=3)
    fired = [detector.update(c) for c in epochs([200, 100, 50, 50, 50, 10])]
    # distances to three epochs back: 350, 200, 150, 110 of 1,000 bits
    assert fired == [False] * 5 + [True, True]
    assert detector.epoch == 5
    assert np.isnan(detector.distances[:3]).all()
    assert detector.distances[3:] == pytest.approx([0.35, 0.2, 0.15, 0.11])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=8), st.integers(1, 4))
def test_matrix_and_rule_agree(flips, lookback):
    detector = sl.EarlyBird(threshold=0.1, lookback=lookback)
    everything = list(epochs(flips))
    fired = [detector.update(c) for c in everything]
    matrix = detector.matrix
    assert np.array_equal(matrix, matrix.T)
    assert (np.diag(matrix) == 0).all()
    expected = [
        t >= lookback and (matrix[t, t - lookback : t] < 0.1).all() for t in range(len(matrix))
    ]
    assert fired == list(np.logical_or.accumulate(expected))
    assert detector.epoch == (expected.index(True) if True in expected else None)
    assert matrix[0, -1] == pytest.approx(everything[0].distance(everything[-1]))


def test_bad_input():
    for threshold in (0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="threshold"):
            sl.EarlyBird(threshold=threshold)
    with pytest.raises(ValueError, match="lookback"):
        sl.EarlyBird(lookback=0)
    detector = sl.EarlyBird()
    detector.update(codes([[True, False]]))
    with pytest.raises(ValueError, match="different architectures"):
        detector.update(codes([[True, False, True]]))
    net, probe = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU()), torch.randn(5, 2)
    detector = sl.EarlyBird()
    detector.update(sl.region_codes(net, probe))
    with pytest.raises(ValueError, match="different inputs"):
        detector.update(sl.region_codes(net, probe + 1))
    assert len(detector.distances) == len(detector.matrix) == 1  # what was refused left no trace


def test_mask_rule_holds_a_queue_of_five():
    """Of 100 units, 8 change at first and then 2 at each epoch."""
    detector = sl.MaskEarlyBird(threshold=0.1, queue=5)
    mask, fired = np.zeros(100, bool), []
    for epoch, change in enumerate([0, 8, 2, 2, 2, 2, 2]):
        mask = mask.copy()
        mask[10 * epoch : 10 * epoch + change] = True
        fired.append(detector.update({"a": mask[:60], "b": mask[60:]}))
    # the queue is full at epoch 4, where the oldest mask differs by 8 + 2 + 2 + 2 units
    assert fired == [False] * 5 + [True, True]
    assert np.isnan(detector.distances[:4]).all()
    assert detector.distances[4:] == pytest.approx([0.14, 0.08, 0.08])
    with pytest.raises(ValueError, match="another network"):
        detector.update({"a": mask})
    with pytest.raises(ValueError, match="queue"):
        sl.MaskEarlyBird(queue=1)
    with pytest.raises(ValueError, match="no masks"):
        sl.MaskEarlyBird().update({})


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=2, max_size=9), st.data())
def test_both_rules_go_on_from_a_checkpoint(tmp_path_factory, flips, data):
    """Interrupted anywhere, saved and loaded without code, a detector ends as it would have."""
    everything = list(epochs(flips))
    stop = data.draw(st.integers(0, len(everything)))
    path = tmp_path_factory.mktemp("state") / "state.pt"
    make = (
        lambda: sl.EarlyBird(threshold=0.05, lookback=2),
        lambda: sl.MaskEarlyBird(threshold=0.05, queue=3),
    )
    for new, look in zip(make, (lambda c: c, lambda c: {"a": c.unpack("a")[0]}), strict=True):
        whole, first, second = new(), new(), new()
        for c in everything:
            whole.update(look(c))
        for c in everything[:stop]:
            first.update(look(c))
        torch.save(first.state_dict(), path)
        second.load_state_dict(torch.load(path, weights_only=True))
        for c in everything[stop:]:
            second.update(look(c))
        assert second.epoch == whole.epoch
        assert second.distances == pytest.approx(whole.distances, nan_ok=True)
    assert second.rows == whole.rows
    assert all(len(row) == min(epoch, 2) for epoch, row in enumerate(whole.rows))


def test_a_state_that_does_not_fit_is_refused():
    used = sl.EarlyBird()
    used.update(codes([[True, False]]))
    with pytest.raises(ValueError, match="new one"):
        used.load_state_dict(used.state_dict())
    with pytest.raises(ValueError, match="lookback=3"):
        sl.EarlyBird(lookback=2).load_state_dict(used.state_dict())
    with pytest.raises(sl.DamagedFile, match="lacks"):
        sl.MaskEarlyBird().load_state_dict({"threshold": 0.1})


def test_masks_that_are_written_in_place_are_those_of_their_epochs():
    detector, mask = sl.MaskEarlyBird(queue=2), torch.zeros(10, dtype=torch.bool)
    for units in (0, 5, 5):
        mask[:units] = True
        detector.update({"a": mask})
    assert detector.epoch == 2
    assert detector.distances[1:] == [0.5, 0]


def test_what_is_no_epoch_is_refused_at_once():
    with pytest.raises(TypeError, match="RegionCodes"):
        sl.EarlyBird().update({"a": torch.zeros(3)})
    with pytest.raises(ValueError, match="no inputs"):
        sl.EarlyBird().update(sl.RegionCodes.from_bool({"a": torch.zeros(0, 3)}))


@pytest.mark.parametrize("lookback", [1, 2, 4])
def test_the_epoch_is_that_of_the_definition(lookback):
    """Random walks on bits that slow down; every pair of epochs compared by hand."""
    rng = np.random.default_rng(lookback)
    for threshold in (0.05, 0.16, 0.3):
        bits, epochs, detector = rng.random((7, 13)) < 0.5, [], sl.EarlyBird(threshold, lookback)
        for epoch in range(12):
            bits = bits ^ (rng.random(bits.shape) < 0.5 / (1 + epoch))
            epochs.append(bits)
            detector.update(sl.RegionCodes.from_bool({"a": bits[:, :4], "b": bits[:, 4:]}))
        apart = [
            [((s ^ t)[:, :4].mean() + (s ^ t)[:, 4:].mean()) / 2 for t in epochs] for s in epochs
        ]
        near = [
            all(apart[t][t - back] < threshold for back in range(1, lookback + 1))
            for t in range(lookback, len(epochs))
        ]
        assert detector.epoch == (near.index(True) + lookback if any(near) else None)
        assert detector.matrix == pytest.approx(np.array(apart), abs=1e-15)
