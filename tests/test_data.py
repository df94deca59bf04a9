"""Datasets: what they hold, what damaged ones say, and augmentation."""

import numpy as np
import pytest
import torch
from PIL import Image

from splinelib import data
from splinelib.errors import DamagedFile


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


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


def test_digits_are_split_the_same_way_every_time_with_every_class_alike(digits):
    again = data.load("digits")
    assert torch.equal(digits.train_images, again.train_images)
    share = digits.test_labels.bincount() / (
        digits.test_labels.bincount() + digits.train_labels.bincount()
    )
    assert torch.allclose(share, torch.full((10,), 0.2), atol=0.005)


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    expected_pixels, expected_labels = load_digits(return_X_y=True)
    pixels, labels = data._read_digits()
    assert np.array_equal(pixels, expected_pixels) and np.array_equal(labels, expected_labels)


def test_no_digit_is_in_both_parts(digits):
    train = {image.numpy().tobytes() for image in digits.train_images}
    # Two different people may draw the same 8 x 8 digit; a leak would be a large share.
    shared = sum(image.numpy().tobytes() in train for image in digits.test_images)
    assert shared <= 2


def test_normalised_training_images_have_mean_0_and_deviation_1(digits):
    values = digits.to_float(digits.train_images)
    assert values.dtype == torch.float32
    assert abs(values.mean().item()) < 1e-5
    assert abs(values.std(unbiased=False).item() - 1) < 1e-5


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


def test_the_cache_folder_can_be_set(tmp_path, monkeypatch):
    monkeypatch.setenv("SPLINELIB_DATA", str(tmp_path))
    assert data.cache_folder() == tmp_path


@pytest.fixture
def tree(tmp_path):
    """Two classes of a few images of different sizes, as ImageNet lays them out."""
    for part, count in (("train", 3), ("val", 2)):
        for label, colour in (("ant", (255, 0, 0)), ("bee", (0, 0, 255))):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (40 + number, 60), colour).save(folder / f"{number}.png")
    return tmp_path


def test_a_folder_tree_is_read(tree):
    dataset = data.load(f"folder:{tree}", image_size=16)
    assert dataset.shape == (3, 16, 16)
    assert dataset.classes == ["ant", "bee"]
    assert dataset.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test_labels.tolist() == [0, 0, 1, 1]
    assert dataset.train_images[0, :, 8, 8].tolist() == [255, 0, 0]
    assert dataset.train_images[5, :, 8, 8].tolist() == [0, 0, 255]
    assert dataset.to_float(dataset.train_images).isfinite().all()  # the green channel is constant


def test_a_large_tree_is_decoded_once_and_mapped_into_memory(tree, tmp_path, monkeypatch):
    name, root = f"folder:{tree}", tmp_path / "cache"
    small = data.load(name, root, image_size=16)
    assert not root.exists()
    monkeypatch.setattr(data, "_IN_MEMORY", 0)
    monkeypatch.setattr(data, "_CHUNK", 4)  # smaller than the tree
    large = data.load(name, root, image_size=16)
    assert torch.equal(large.train_images, small.train_images)
    assert torch.equal(large.test_labels, small.test_labels)
    assert large.mean == small.mean and large.std == small.std
    files = sorted((root / "folders").iterdir())
    assert [file.suffix for file in files] == [".npy", ".npy"]

    def not_again(*arguments, **options):
        raise AssertionError("decoded again")

    with monkeypatch.context() as patch:
        patch.setattr(data, "_decode", not_again)
        again = data.load(name, root, image_size=16)
        again.train_images[:] = 0  # in memory only
        assert torch.equal(data.load(name, root, image_size=16).train_images, small.train_images)
        with pytest.raises(AssertionError):
            data.load(name, root, image_size=8)
    Image.new("RGB", (30, 30)).save(tree / "train" / "ant" / "9.png")  # another tree now
    assert len(data.load(name, root, image_size=16).train_images) == 7
    for file in files:
        file.write_bytes(file.read_bytes()[:150])
    (tree / "train" / "ant" / "9.png").unlink()
    with pytest.raises(DamagedFile, match="Delete the file"):
        data.load(name, root, image_size=16)


def test_a_bad_tree_is_a_clear_message(tree):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        data.load(f"folder:{tree / 'nowhere'}")
    (tree / "val" / "cat").mkdir()
    with pytest.raises(ValueError, match="cat"):
        data.load(f"folder:{tree}")
    (tree / "val" / "cat").rmdir()
    (tree / "train" / "ant" / "1.png").write_bytes(b"not an image")
    with pytest.raises(DamagedFile, match=r"1\.png"):
        data.load(f"folder:{tree}")


@pytest.mark.parametrize("name", ["cross", "spiral", "moons"])
def test_toys_are_two_classes_in_the_square_and_seeded(name):
    points, labels = data.toy(name, n=501, noise=0.0, seed=1)
    assert points.shape == (501, 2) and points.dtype == torch.float32
    assert labels.dtype == torch.int64 and labels.unique().tolist() == [0, 1]
    assert points.abs().max() <= 1
    assert torch.equal(points, data.toy(name, n=501, noise=0.0, seed=1)[0])
    assert not torch.equal(points, data.toy(name, n=501, noise=0.0, seed=2)[0])


def test_the_cross_has_an_x_for_a_boundary():
    points, labels = data.toy("cross", n=1000, noise=0.0)
    assert torch.equal(labels == 1, points[:, 0].abs() > points[:, 1].abs())


def test_bad_toys():
    with pytest.raises(ValueError, match="cross, spiral, moons"):
        data.toy("circle")
    with pytest.raises(ValueError, match="n >= 2"):
        data.toy("cross", n=1)
    with pytest.raises(ValueError, match="noise"):
        data.toy("cross", noise=-1)


def test_augmented_images_are_shifted_and_mirrored_copies():
    generator = torch.Generator().manual_seed(0)
    image = torch.arange(1, 65, dtype=torch.uint8).view(1, 1, 8, 8)
    result = data.augment(image.expand(500, 1, 8, 8), generator, padding=2)
    padded = torch.nn.functional.pad(image, (2,) * 4)[0, 0]
    possible = {}
    for row in range(5):
        for column in range(5):
            crop = padded[row : row + 8, column : column + 8]
            possible[crop.contiguous().numpy().tobytes()] = (row, column, False)
            possible[crop.flip(1).contiguous().numpy().tobytes()] = (row, column, True)
    seen = {possible[crop[0].contiguous().numpy().tobytes()] for crop in result}
    assert len(seen) == len(possible) == 50  # every shift occurs, mirrored and not
    assert result.shape == (500, 1, 8, 8) and result.dtype == torch.uint8


def test_all_channels_of_an_image_move_together():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 1, 32, 32), generator=generator, dtype=torch.uint8)
    result = data.augment(images.expand(64, 3, 32, 32), generator)
    assert torch.equal(result[:, 0], result[:, 2])
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_augmentation_is_seeded_and_leaves_its_input(digits):
    images = digits.train_images[:32]
    before = images.clone()
    one = digits.augment(images, torch.Generator().manual_seed(5))
    two = digits.augment(images, torch.Generator().manual_seed(5))
    other = digits.augment(images, torch.Generator().manual_seed(6))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert torch.equal(images, before)


def test_digits_are_never_mirrored():
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    image[0, 0, :, 2] = 255  # a stroke left of the middle stays left of it
    digits = data.load("digits")
    result = digits.augment(image.expand(100, 1, 8, 8), torch.Generator().manual_seed(0))
    assert result[:, 0, :, 4:].max() == 0
