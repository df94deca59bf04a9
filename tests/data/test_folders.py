"""Image folders as datasets."""

import os
import shutil
import socket
import subprocess
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image
from torchvision.datasets.folder import pil_loader

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
    (tree / "train" / "ant" / "9.png").unlink()
    whole = files[0].read_bytes()
    flipped = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
    for content in (whole[:150], whole[:20], flipped, whole[:-32]):
        files[0].write_bytes(content)
        with pytest.raises(DamagedFile, match=r"digest.* Delete the file"):
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


def one(tree, name, write):
    """The first training image of a tree in which class ant has one, written by `write`."""
    folder = tree / "train" / "ant"
    for file in folder.iterdir():
        file.unlink()
    write(folder / name)
    return data.load(f"folder:{tree}", image_size=16).train_images[0]


RAMP = np.linspace(0, 65535, 256).reshape(16, 16).astype(np.uint16)


def netpbm(kind, largest, values):
    return lambda file: file.write_bytes(f"{kind} 16 16 {largest}\n".encode() + values.tobytes())


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("x.png", lambda file: Image.fromarray(RAMP).save(file)),
        ("x.ppm", netpbm("P5", 65535, RAMP.astype(">u2"))),
        ("x.png", netpbm("P5", 65535, RAMP.astype(">u2"))),  # the content says what it is
    ],
)
def test_greys_of_16_bits_are_scaled(tree, name, write):
    image = one(tree, name, write)
    assert torch.equal(image[0], torch.from_numpy(np.round(RAMP / 257).astype(np.uint8)))
    assert torch.equal(image[0], image[1]) and torch.equal(image[0], image[2])


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_pixels_are_those_of_torchvision(tree, mode):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)
    image, options = Image.fromarray(noise), {}
    if mode == "P":
        image, options = image.convert("RGB").quantize(8), {"transparency": bytes(range(0, 80, 10))}
    image = image.convert(mode)
    read = one(tree, "x.png", lambda file: image.save(file, **options))
    pixels = np.array(pil_loader(str(tree / "train" / "ant" / "x.png")))
    assert np.array_equal(read.permute(1, 2, 0).numpy(), pixels)


def test_the_orientation_of_a_camera_is_not_applied(tree):
    """As in torchvision, so that networks see what others' networks saw."""
    image = Image.fromarray(np.arange(768, dtype=np.uint8).reshape(16, 16, 3))
    orientation = Image.Exif()
    orientation[0x0112] = 6
    turned = one(tree, "x.png", lambda file: image.save(file, exif=orientation))
    assert np.array_equal(turned.permute(1, 2, 0).numpy(), np.array(image))


def test_hidden_files_and_folders_are_passed_over(tree):
    plain = data.load(f"folder:{tree}", image_size=16)
    for part in ("train", "val"):
        for folder in (".ipynb_checkpoints", "ant/.thumbnails"):
            (tree / part / folder).mkdir()
            Image.new("RGB", (30, 30)).save(tree / part / folder / "0.png")
        (tree / part / "ant" / "._0.png").write_bytes(b"what macOS notes of a file")
        (tree / part / "ant" / ".0.jpg").write_bytes(b"")
    dataset = data.load(f"folder:{tree}", image_size=16)
    assert dataset.classes == ["ant", "bee"]
    assert torch.equal(dataset.train_images, plain.train_images)
    assert torch.equal(dataset.test_labels, plain.test_labels)


def test_folders_in_a_class_are_read_through_links_but_not_in_a_circle(tree, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.new("RGB", (30, 30)).save(elsewhere / "new.png")
    (tree / "train" / "ant" / "more").symlink_to(elsewhere)
    assert data.load(f"folder:{tree}", image_size=16).train_labels.tolist() == [0] * 4 + [1] * 3
    (elsewhere / "back").symlink_to(tree / "train" / "ant")
    with pytest.raises(ValueError, match="a link to a folder that it lies in"):
        data.load(f"folder:{tree}", image_size=16)


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_class_without_images_is_refused(tree, part):
    for file in (tree / part / "bee").iterdir():
        file.rename(file.with_suffix(".txt"))
    with pytest.raises(FileNotFoundError, match=f"{part} holds no images .* of bee"):
        data.load(f"folder:{tree}")


def test_a_class_that_only_train_has_is_refused(tree):
    shutil.rmtree(tree / "val" / "bee")
    with pytest.raises(ValueError, match="val lacks classes that train has: bee"):
        data.load(f"folder:{tree}")


@pytest.mark.parametrize("place", ["train", "train/bee", "val/bee", "train/bee/deeper"])
def test_a_folder_that_may_not_be_read_is_named(tree, monkeypatch, place):
    (tree / "train" / "bee" / "deeper").mkdir()
    whole = Path.iterdir

    def guarded(folder):  # chmod says nothing to root, who may run the tests
        if folder == tree / place:
            raise PermissionError(13, "Permission denied", str(folder))
        return whole(folder)

    monkeypatch.setattr(Path, "iterdir", guarded)
    with pytest.raises(PermissionError, match=f"{tree / place} may not be read"):
        data.load(f"folder:{tree}")


def not_regular(kind, file):
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(file))  # such paths have to be short
    else:
        file.symlink_to({"device": "/dev/zero", "broken link": "nowhere"}[kind])


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "broken link"])
def test_what_is_no_file_is_refused_and_not_waited_for(tree, monkeypatch, kind):
    monkeypatch.chdir(tree)
    with pytest.raises(DamagedFile, match=r"x\.png .* no file"):
        one(tree, "x.png", lambda file: not_regular(kind, file))


@pytest.mark.parametrize("name", ["EPS", "GIF", "ICO", "PCX", "PDF", "TGA", "TIFF"])
def test_other_formats_are_not_opened_whatever_they_are_called(tree, monkeypatch, name):
    def no_program(*arguments, **options):
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", no_program)  # Ghostscript, for EPS
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", no_program)
    with pytest.raises(DamagedFile, match="none of BMP, JPEG, PNG, PPM, WEBP"):
        one(tree, "x.png", lambda file: Image.new("RGB", (16, 16)).save(file, format=name))


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (lambda file: file.write_bytes(b""), "it is none of"),
        (netpbm("Pf", "-1.0", RAMP.astype(np.float32)), "floating-point"),
        (netpbm("P6", "0", RAMP), "maxval"),
        (lambda file: file.write_bytes(b"P6 100000 100000 255\n"), "decompression bomb"),
        (lambda file: file.write_bytes(b"P6 16 16 255\nxx"), "truncated|not enough"),
        (lambda file: file.write_bytes(b"P6 " + b"1" * 5000 + b" 1 255\n"), "Token too long"),
    ],
)
def test_why_an_image_is_refused(tree, write, why):
    with pytest.raises(DamagedFile, match=rf"(?s)x\.ppm is not an image .*({why})"):
        one(tree, "x.ppm", write)


@pytest.mark.parametrize("format", ["BMP", "JPEG", "PNG", "PPM", "WEBP"])
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_image_is_read_or_refused(tmp_path, format):
    """Cut off, bytes changed, inserted, zeroed: never another error, never no answer."""
    noise = np.random.default_rng(1).integers(0, 256, (24, 24, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole", format=format)
    whole, file = (tmp_path / "whole").read_bytes(), tmp_path / "x.png"
    random, outcomes = np.random.default_rng(2), Counter()
    for number in range(120):
        changed = bytearray(whole)
        # half of them where formats say how to read what follows
        at = int(random.integers(len(whole) if number % 2 else min(64, len(whole))))
        match number // 2 % 4:
            case 0:
                del changed[at:]
            case 1:
                changed[at] ^= 1 << int(random.integers(8))
            case 2:
                changed[at : at + 4] = random.bytes(int(random.integers(1, 9)))
            case 3:
                changed[at : at + 16] = bytes(16)
        file.write_bytes(changed)
        try:
            outcomes[folders.read_image(file, 16).shape] += 1
        except DamagedFile as error:
            assert "x.png is not an image" in str(error)
            outcomes["refused"] += 1
    assert outcomes["refused"] > 10 and set(outcomes) <= {(3, 16, 16), "refused"}


def test_a_damaged_image_is_not_blamed_for_what_the_system_says(tree, monkeypatch):
    def denied(file):
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(PermissionError, match=r"0\.png"):
        data.load(f"folder:{tree}")


@pytest.mark.parametrize("size", [-1, 0, 8193, 1_000_000, 2**70])
def test_a_side_that_no_image_has_is_refused(tree, size):
    with pytest.raises(ValueError, match=rf"1 \.\. 8192, not {size}"):
        data.load(f"folder:{tree}", image_size=size)


def test_images_that_the_disk_has_no_room_for_are_refused(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_IN_MEMORY", 0)
    full = SimpleNamespace(free=6 * 3 * 16**2 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full)
    root = tmp_path / "not" / "there"
    with pytest.raises(ValueError, match=r"6 images of 16 x 16 pixels take .* has room for"):
        data.load(f"folder:{tree}", root, image_size=16)
    assert not root.exists()
    full.free += 1
    assert len(data.load(f"folder:{tree}", root, image_size=16).train_images) == 6


def test_names_that_are_no_text_are_read(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_IN_MEMORY", 0)
    odd = tree / "train" / "ant" / os.fsdecode(b"\xff.png")
    Image.new("RGB", (30, 30)).save(odd)
    assert len(data.load(f"folder:{tree}", tmp_path / "cache", image_size=16).train_images) == 7
