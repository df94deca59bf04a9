"""Datasets by name, cached, downloaded, damaged."""

import errno

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from splinelib import data
from splinelib.errors import DamagedFile


def small_cache(**changes) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "train_images": rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8),
        "train_labels": np.arange(20) % 10,
        "test_images": rng.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8),
        "test_labels": np.arange(10),
        "classes": np.array([f"class {label}" for label in range(10)]),
    }
    return {key: value for key, value in (arrays | changes).items() if value is not None}


def test_digits_are_split_the_same_way_every_time_with_every_class_alike(digits):
    again = data.load("digits")
    assert torch.equal(digits.train_images, again.train_images)
    share = digits.test_labels.bincount() / (
        digits.test_labels.bincount() + digits.train_labels.bincount()
    )
    assert torch.allclose(share, torch.full((10,), 0.2), atol=0.005)


def test_digits_are_those_of_scikit_learn():
    digits = data.load("digits")
    pixels, labels = load_digits(return_X_y=True)
    expected = {(p.tobytes(), label) for p, label in zip(pixels, labels.tolist(), strict=True)}
    shades = torch.cat([digits.train_images, digits.test_images]).flatten(1).numpy() * (16 / 255)
    labels = torch.cat([digits.train_labels, digits.test_labels]).tolist()
    found = {(p.round().tobytes(), label) for p, label in zip(shades, labels, strict=True)}
    assert len(labels) == len(pixels) and found == expected


def test_no_digit_is_in_both_parts(digits):
    train = {image.numpy().tobytes() for image in digits.train_images}
    # Two different people may draw the same 8 x 8 digit; a leak would be a large share.
    shared = sum(image.numpy().tobytes() in train for image in digits.test_images)
    assert shared <= 2


def test_cifar_is_normalised_with_the_published_statistics(tmp_path):
    np.savez(tmp_path / "cifar10.npz", **small_cache())
    dataset = data.load("cifar10", root=tmp_path)
    black = dataset.to_float(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    expected = -torch.tensor([0.4914, 0.4822, 0.4465]) / torch.tensor([0.2023, 0.1994, 0.2010])
    assert torch.allclose(black[0, :, 0, 0], expected)


def test_cifar_channels_come_first(tmp_path):
    arrays = small_cache()
    np.savez(tmp_path / "cifar10.npz", **arrays)
    dataset = data.load("cifar10", root=tmp_path)
    assert dataset.train_images[3, 2, 5, 7] == arrays["train_images"][3, 5, 7, 2]


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"mnist.*digits, cifar10"):
        data.load("mnist")
    with pytest.raises(TypeError, match="string"):
        data.load(3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_labels": None}, "lacks test_labels"),
        ({"train_images": np.zeros((20, 32, 32, 3), np.float32)}, "float32"),
        ({"train_images": np.zeros((20, 3, 32, 32), np.uint8)}, r"\(20, 3, 32, 32\)"),
        ({"train_labels": np.zeros(19, np.int64)}, r"\(19,\)"),
        ({"test_labels": np.full(10, 10)}, "outside 0 .. 9"),
        ({"classes": np.array(["only one"])}, "10 names"),
    ],
)
def test_a_cache_with_wrong_contents_says_what_is_wrong(tmp_path, changes, message):
    np.savez(tmp_path / "cifar10.npz", **small_cache(**changes))
    with pytest.raises(DamagedFile, match=message) as caught:
        data.load("cifar10", root=tmp_path)
    assert "Delete the file" in str(caught.value)
    assert "cifar10.npz" in str(caught.value)


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "text"])
def test_a_damaged_cache_is_a_clear_message(tmp_path, damage):
    path = tmp_path / "cifar10.npz"
    np.savez(path, **small_cache())
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[2000] ^= 255
    path.write_bytes(
        {
            "empty": b"",
            "truncated": bytes(content[: len(content) // 2]),
            "flipped": bytes(content),
            "text": b"not found",
        }[damage]
    )
    with pytest.raises(DamagedFile, match="Delete the file"):
        data.load("cifar10", root=tmp_path)


class FakeCifar:
    """Stands for torchvision's download."""

    calls: list[bool]
    fails = False

    def __init__(self, root, train, download=False):
        if self.fails:
            raise RuntimeError("no route to host")
        arrays = small_cache()
        part = "train" if train else "test"
        self.data, self.targets = arrays[f"{part}_images"], list(arrays[f"{part}_labels"])
        self.classes = list(arrays["classes"])
        type(self).calls.append(download)


def test_a_download_is_cached_and_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.CIFAR10", FakeCifar)
    FakeCifar.calls, FakeCifar.fails = [], False
    first = data.load("cifar10", root=tmp_path)
    second = data.load("cifar10", root=tmp_path)
    assert FakeCifar.calls == [True, False]
    assert torch.equal(first.train_images, second.train_images)
    assert [file.name for file in tmp_path.iterdir()] == ["cifar10.npz"]


def test_without_a_network_the_message_says_what_to_do_and_a_second_try_works(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("torchvision.datasets.CIFAR10", FakeCifar)
    FakeCifar.calls, FakeCifar.fails = [], True
    with pytest.raises(ConnectionError, match="no route to host") as caught:
        data.load("cifar10", root=tmp_path)
    assert "digits" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    FakeCifar.fails = False
    assert len(data.load("cifar10", root=tmp_path).train_images) == 20


def test_a_full_disk_is_not_taken_for_a_lack_of_network(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("torchvision.datasets.CIFAR10", full)
    with pytest.raises(OSError, match="No space left") as caught:
        data.load("cifar10", root=tmp_path)
    assert not isinstance(caught.value, ConnectionError)
    assert list(tmp_path.iterdir()) == []
