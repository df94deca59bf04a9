"""Image folders as datasets."""

import pytest
import torch
from PIL import Image

from splinelib import data
from splinelib.data import folders
from splinelib.errors import DamagedFile


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
    monkeypatch.setattr(folders, "_IN_MEMORY", 0)
    monkeypatch.setattr(folders, "CHUNK", 4)  # smaller than the tree
    large = data.load(name, root, image_size=16)
    assert torch.equal(large.train_images, small.train_images)
    assert torch.equal(large.test_labels, small.test_labels)
    assert large.mean == small.mean and large.std == small.std
    files = sorted((root / "folders").iterdir())
    assert [file.suffix for file in files] == [".npy", ".npy"]

    def not_again(*arguments, **options):
        raise AssertionError("decoded again")

    with monkeypatch.context() as patch:
        patch.setattr(folders, "_decode", not_again)
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
