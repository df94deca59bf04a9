"""Index arithmetic, against plain loops."""

from itertools import pairwise

import numpy as np

from splinelib.geometry.indexing import connected, offsets, places, starts_run, trace_cycles


def test_rows_of_different_lengths():
    assert offsets(np.array([2, 0, 3])).tolist() == [0, 2, 2, 5]
    assert places(np.array([2, 0, 3])).tolist() == [0, 1, 0, 1, 2]
    assert offsets(np.array([], int)).tolist() == [0]
    keys = np.array([1, 1, 2, 2, 2]), np.array([0, 0, 0, 1, 1])
    assert starts_run(*keys).tolist() == [True, False, True, True, False]


def test_the_cycles_of_a_permutation():
    elements, ptr = trace_cycles(np.array([2, 1, 4, 5, 0, 3]))
    assert elements.tolist() == [0, 2, 4, 1, 3, 5] and ptr.tolist() == [0, 3, 4, 6]
    following = np.random.default_rng(0).permutation(1000)
    elements, ptr = trace_cycles(following)
    assert sorted(elements) == list(range(1000))
    for start, stop in pairwise(ptr):
        cycle = elements[start:stop]
        assert cycle[0] == cycle.min()
        assert (following[cycle] == np.roll(cycle, -1)).all()


def test_points_that_pairs_connect_have_one_label():
    label = connected(np.array([0, 3]), np.array([2, 2]), 5)
    assert label[0] == label[2] == label[3]
    assert len({label[0], label[1], label[4]}) == 3
