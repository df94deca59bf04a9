"""Datasets: normalised, augmented, split."""

from dataclasses import replace

import pytest
import torch

from splinelib import data


@pytest.mark.parametrize("name", ["digits", "cifar10"])
def test_a_dataset_holds_uint8_images_and_int64_labels(name, request):
    dataset = data.load(name, root=name == "cifar10" and request.getfixturevalue("cifar10_root"))
    sizes = {"digits": (1438, 359, (1, 8, 8)), "cifar10": (50_000, 10_000, (3, 32, 32))}[name]
    assert (len(dataset.train_images), len(dataset.test_images), dataset.shape) == sizes
    for part in ("train", "test"):
        images, labels = getattr(dataset, f"{part}_images"), getattr(dataset, f"{part}_labels")
        assert images.dtype == torch.uint8 and labels.dtype == torch.int64
        assert len(images) == len(labels)
        assert images.max() == 255
        assert labels.unique().tolist() == list(range(len(dataset.classes)))


def test_other_images_have_another_digest(digits):
    few = digits.subset(train=20, test=10)
    again = data.load("digits").subset(train=20, test=10)
    changed = few.test_images.clone()
    changed[3, 0, 1, 1] += 1
    others = [digits.subset(train=21, test=10), replace(few, test_images=changed)]
    others += [replace(few, train_labels=few.train_labels.flip(0)), replace(few, mean=(0.5,))]
    assert few.digest == again.digest
    assert len({few.digest, *(other.digest for other in others)}) == 5


def test_normalised_training_images_have_mean_0_and_deviation_1(digits):
    values = digits.to_float(digits.train_images)
    assert values.dtype == torch.float32
    assert abs(values.mean().item()) < 1e-5
    assert abs(values.std(unbiased=False).item() - 1) < 1e-5


def test_to_float_says_what_it_takes(digits):
    with pytest.raises(TypeError, match="uint8"):
        digits.to_float(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"\(N, 1, 8, 8\)"):
        digits.to_float(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_split_is_disjoint_complete_stratified_and_seeded(digits):
    train, validation = digits.split(0.1, seed=3)
    together = torch.cat((train, validation)).sort().values
    assert torch.equal(together, torch.arange(len(digits.train_images)))
    counts = digits.train_labels[validation].bincount()
    expected = digits.train_labels.bincount() * 0.1
    assert (counts - expected).abs().max() <= 0.5
    assert torch.equal(validation, digits.split(0.1, seed=3)[1])
    assert not torch.equal(validation, digits.split(0.1, seed=4)[1])
    for share in (0, 1, -0.1):
        with pytest.raises(ValueError, match="share"):
            digits.split(share)


def test_subset_takes_numbers_and_indices(digits):
    few = digits.subset(train=50, test=torch.tensor([4, 2]))
    assert len(few.train_images) == 50
    assert torch.equal(few.test_labels, digits.test_labels[[4, 2]])
    assert few.mean == digits.mean
    with pytest.raises(ValueError, match="1438"):
        digits.subset(train=1439)


def test_augmentation_is_seeded_and_leaves_its_input(digits):
    images = digits.train_images[:32]
    before = images.clone()
    one = digits.augment(images, torch.Generator().manual_seed(5))
    two = digits.augment(images, torch.Generator().manual_seed(5))
    other = digits.augment(images, torch.Generator().manual_seed(6))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert torch.equal(images, before)
