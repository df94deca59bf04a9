"""Batches: every input once, in an order that follows from the seed, shared by processes."""

from itertools import chain

import pytest
import torch

from splinelib import parallel
from splinelib.training.batches import Batches

CPU = torch.device("cpu")


def numbered(count: int) -> Batches:
    inputs = torch.arange(count, dtype=torch.float32)[:, None]
    return Batches.of((inputs, torch.arange(count)), True, CPU)


def taken(batches: Batches, size: int, seed: int = 0) -> list:
    generator = torch.Generator().manual_seed(seed)
    return [
        None if batch is None else batch[0].flatten().int().tolist()
        for batch in batches.shuffled(size, generator)
    ]


def test_every_input_is_handed_out_once_with_its_label():
    batches = numbered(10)
    assert sorted(chain.from_iterable(taken(batches, 4))) == list(range(10))
    assert taken(batches, 4) == taken(batches, 4) != taken(batches, 4, seed=1)
    for inputs, labels, size in batches.shuffled(4, torch.Generator().manual_seed(0)):
        assert inputs.flatten().tolist() == labels.tolist() and len(labels) == size
    assert batches.example().tolist() == [[0.0]] and batches.crop is None


def test_a_last_batch_of_one_is_left_out_and_a_first_one_is_not():
    assert taken(numbered(5), 4)[-1] is None
    assert [len(batch) for batch in taken(numbered(6), 4)] == [4, 2]


def test_processes_share_a_batch_in_order(monkeypatch):
    whole = taken(numbered(9), 6)
    monkeypatch.setattr(parallel, "processes", lambda: 2)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
        parts.append(taken(numbered(9), 6))
    assert parts[0][0] + parts[1][0] == whole[0]
    assert parts[0][1] is parts[1][1] is None  # three inputs are too few for two processes


def test_a_dataset_is_cropped_if_it_is_to_be_augmented(digits):
    assert Batches.of(digits, False, CPU).crop is None
    batches = Batches.of(digits.subset(train=8), True, CPU)
    (batch,) = batches.shuffled(8, torch.Generator().manual_seed(0))
    assert batch[0].shape == (8, 1, 8, 8) and batch[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [
        (3, TypeError, "Dataset or a pair"),
        ((torch.zeros(4, 1, dtype=torch.uint8), torch.zeros(4)), TypeError, "uint8"),
        ((torch.zeros(4, 1), torch.zeros(3)), ValueError, "a label for each"),
        ((torch.zeros(1, 1), torch.zeros(1)), ValueError, "2 or more inputs"),
    ],
)
def test_bad_data(data, error, match):
    with pytest.raises(error, match=match):
        Batches.of(data, True, CPU)
