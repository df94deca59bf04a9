import numpy as np
import pytest
import torch

import splinelib as sl
from splinelib.randomness import checked_seed, generator_of


def test_numpy_whole_numbers_are_seeds():
    drawn = torch.rand(3, generator=generator_of(3))
    assert torch.equal(torch.rand(3, generator=generator_of(np.int64(3))), drawn)
    assert type(checked_seed(np.int32(3))) is int
    assert checked_seed(-1) == -1


@pytest.mark.parametrize("seed", [3.0, "3", None, True, torch.tensor(3)])
def test_what_is_no_whole_number_is_refused(seed):
    with pytest.raises(TypeError, match="A seed is a whole number, not"):
        generator_of(seed)


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1])
def test_a_seed_has_64_bits(seed):
    with pytest.raises(ValueError, match="64 bits"):
        generator_of(seed)


CALLS = {
    "model": lambda seed: sl.models.mlp([2, 3, 2], seed=seed),
    "toy": lambda seed: sl.data.toy("moons", 8, seed=seed),
    "score": lambda seed: sl.score(
        sl.models.mlp([2, 3, 2]), "random", example=torch.zeros(1, 2), seed=seed
    ),
    "train": lambda seed: sl.training.train(
        sl.models.mlp([2, 3, 2]),
        (torch.zeros(4, 2), torch.zeros(4).long()),
        epochs=1,
        seed=seed,
        progress=False,
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_public_seed_is_checked_and_may_be_numpys(name):
    CALLS[name](np.int64(2))
    CALLS[name](2**63 - 1)
    with pytest.raises(TypeError, match="A seed is a whole number, not 'a'"):
        CALLS[name]("a")
