"""What a run computes with follows from its protocol."""

from dataclasses import replace

import torch
from runs import TINY

from splinelib.experiments import build, device, prepare, sample


def test_images_that_are_held_out_are_none_of_those_to_train_on():
    dataset, held_out = prepare(TINY)
    assert held_out is None and len(dataset.train_images) == TINY.train_size
    part, (images, labels) = prepare(replace(TINY, validation=0.25))
    assert len(part.train_images) + len(images) == TINY.train_size
    assert abs(len(images) - TINY.train_size / 4) <= 5  # a quarter of every class, rounded
    assert len(labels) == len(images)
    both = torch.cat([part.train_images, images]).flatten(1)
    assert sorted(both.tolist()) == sorted(dataset.train_images.flatten(1).tolist())


def test_the_network_follows_from_the_seed():
    dataset, _ = prepare(TINY)
    one, two = build(TINY, dataset), build(TINY, dataset)
    other = build(replace(TINY, seed=1), dataset)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.linear1.weight, other.linear1.weight)
    assert next(one.parameters()).device.type == device().type


def test_a_sample_is_fixed_normalised_and_not_augmented():
    dataset, _ = prepare(TINY)
    inputs, labels = sample(dataset, 16, seed=3)
    again, _ = sample(dataset, 16, seed=3)
    assert torch.equal(inputs, again) and inputs.dtype == torch.float32
    known = dataset.to_float(dataset.train_images).flatten(1)
    for row, label in zip(inputs.flatten(1).cpu(), labels.tolist(), strict=True):
        where = (known == row).all(1)
        assert where.any() and (dataset.train_labels[where] == label).any()
    assert not torch.equal(sample(dataset, 16, seed=4)[0], inputs)
