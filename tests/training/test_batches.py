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
        None if batch is None else batches.make(*batch.drawn)[0].flatten().int().tolist()
        for batch in batches.shuffled(size, generator)
    ]


def test_every_input_is_handed_out_once_with_its_label():
    batches = numbered(10)
    assert sorted(chain.from_iterable(taken(batches, 4))) == list(range(10))
    assert taken(batches, 4) == taken(batches, 4) != taken(batches, 4, seed=1)
    for batch in batches.shuffled(4, torch.Generator().manual_seed(0)):
        inputs, labels = batches.make(*batch.drawn)
        assert inputs.flatten().tolist() == labels.tolist() and len(labels) == batch.size
    assert batches.example().tolist() == [[0.0]] and batches.crops is None


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
    assert Batches.of(digits, False, CPU).crops is None
    batches = Batches.of(digits.subset(train=8), True, CPU)
    (batch,) = batches.shuffled(8, torch.Generator().manual_seed(0))
    inputs, _ = batches.make(*batch.drawn)
    assert inputs.shape == (8, 1, 8, 8) and inputs.dtype == torch.float32


@pytest.mark.parametrize("parts", [1, 2])
def test_batches_are_those_that_are_drawn_and_made_one_after_another(digits, monkeypatch, parts):
    """The order, then each batch's crops, as records were made by before they were drawn first."""
    some = digits.subset(train=21)
    monkeypatch.setattr(parallel, "processes", lambda: parts)
    monkeypatch.setattr(parallel, "rank", lambda: parts - 1)
    batches, plain = Batches.of(some, True, CPU), torch.Generator().manual_seed(3)
    found = list(batches.shuffled(8, torch.Generator().manual_seed(3)))
    order = torch.randperm(21, generator=plain)
    for batch, index in zip(found, order.split(8), strict=True):
        share = parallel.part(len(index))
        images = some.train_images[index[share]]
        place = (share.start, len(index))
        expected = some.to_float(some.augment(images, plain, place))
        inputs, labels = batches.make(*batch.drawn)
        assert torch.equal(inputs, expected) and inputs.stride() == expected.stride()
        assert torch.equal(labels, some.train_labels[index[share]])


def test_images_that_stay_on_the_host_come_with_their_batch(digits, monkeypatch):
    some, made = digits.subset(train=16), []
    near = Batches.of(some, True, CPU)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)  # no GPU, no pinning
    for resident in (True, False):
        monkeypatch.setattr(Batches, "_resident", resident)
        for batch in near.shuffled(5, torch.Generator().manual_seed(0)):
            if batch is not None:
                assert (batch.drawn[0].dtype == torch.uint8) != resident
                made.append(near.make(*batch.drawn))
    assert len(made) == 6
    for one, two in zip(made[:3], made[3:], strict=True):
        assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])


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
