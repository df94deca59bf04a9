"""A tree of image files like ImageNet's as tensors.

A folder of more images than fit in memory is decoded once into a file, of which the system brings
in what a batch needs.
"""

import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import DamagedFile
from ..files import replacing
from ..progress import bar
from .caches import read_sealed, seal
from .dataset import CHUNK, Dataset, statistics

# Bytes of decoded images from which a folder's are kept in a file.
_IN_MEMORY = 2**30
_IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp"}
# All that Pillow may take a file for, whatever its suffix: for some of its other formats it starts
# programs of the system (Ghostscript), and image sets come from strangers.
_FORMATS = ("BMP", "JPEG", "PNG", "PPM", "WEBP")
# Changes with the rules below, so that files decoded by others are not taken.
_RULES = b"greys of 16 bits scaled\n"
# Pixels of a side. One image of the largest is 200 MB as bytes.
_LARGEST_SIDE = 8192


def load_folder(name: str, path: Path, image_size: int, root: Path) -> Dataset:
    """The images of a tree, for `load`, whose errors these are."""
    if not 1 <= image_size <= _LARGEST_SIDE:
        raise ValueError(
            f"image_size is a number of pixels in 1 .. {_LARGEST_SIDE}, not {image_size}."
        )
    train_folder = path / "train"
    test_folder = path / "val" if (path / "val").is_dir() else path / "test"
    for folder in (path, train_folder, test_folder):
        if not folder.is_dir():
            raise FileNotFoundError(
                f"There is no folder {folder}. An image folder holds train/CLASS/*.jpg and "
                "val/CLASS/*.jpg (or test/CLASS/*.jpg)."
            )
    classes = _class_names(train_folder)
    if len(classes) < 2:
        raise ValueError(f"{train_folder} holds {len(classes)} class folders; two are the least.")
    train_images, train_labels = _read_tree(train_folder, classes, image_size, root)
    test_images, test_labels = _read_tree(test_folder, classes, image_size, root)
    mean, std = statistics(train_images)
    return Dataset(
        name=name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=classes,
        mean=mean,
        std=std,
    )


def _class_names(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_dir()]


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, by name, but for what is hidden: .ipynb_checkpoints, macOS' ._x.png.

    Raises
    ------
    PermissionError
        It may not be read, which is not the same as that nothing is there.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except PermissionError as error:
        raise PermissionError(
            f"The folder {folder} may not be read by this user. Change its permissions, or remove "
            "it."
        ) from error


def image_files(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The images of a class folder and of the folders in it, also behind links, by name."""
    place = folder.resolve()
    if place in above:
        raise ValueError(f"{folder} is a link to a folder that it lies in. Remove it.")
    for entry in _entries(folder):
        if entry.is_dir():
            yield from image_files(entry, (*above, place))
        elif entry.suffix.lower() in _IMAGE_SUFFIXES:
            yield entry


def _files_by_class(folder: Path, classes: list[str]) -> list[list[Path]]:
    """The images of each class, at least one, or the error that says what is wrong."""
    given = _class_names(folder)
    for wrong, what in (
        (sorted(set(given) - set(classes)), "holds classes that train lacks"),
        (sorted(set(classes) - set(given)), "lacks classes that train has"),
    ):
        if wrong:
            raise ValueError(f"{folder} {what}: {_first(wrong)}.")
    files = [list(image_files(folder / name)) for name in classes]
    if empty := [name for name, found in zip(classes, files, strict=True) if not found]:
        raise FileNotFoundError(
            f"{folder} holds no images ({', '.join(sorted(_IMAGE_SUFFIXES))}) of {_first(empty)}. "
            "Add some, or remove the class folders from train and val."
        )
    return files


def _first(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" and more" if len(names) > 5 else "")


def _read_tree(folder: Path, classes: list[str], size: int, root: Path) -> tuple[Tensor, Tensor]:
    files = [
        (file, label)
        for label, of_class in enumerate(_files_by_class(folder, classes))
        for file in of_class
    ]
    labels = torch.tensor([label for _, label in files])
    paths, shape = [file for file, _ in files], (len(files), 3, size, size)
    if len(files) * 3 * size**2 < _IN_MEMORY:
        images = np.empty(shape, np.uint8)
        _decode(paths, images, f"read {folder.name}")
        return torch.from_numpy(images), labels
    cache = root / "folders" / f"{folder.parent.name}-{folder.name}-{size}-{_digest(paths)}.npy"
    if not cache.exists():
        _check_room(root, len(files), size)
        with replacing(cache) as temporary:
            written = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
            _decode(paths, written, f"decode {folder.name} into {cache.name}")
            written.flush()
            del written
            seal(temporary)
    return torch.from_numpy(read_sealed(cache, shape)), labels


def _check_room(root: Path, images: int, size: int) -> None:
    """Refuse what the disk has no room for: a mapped file that outgrows it ends the process."""
    place = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
    needed, free = images * 3 * size**2, shutil.disk_usage(place).free
    if needed > free:
        raise ValueError(
            f"{images} images of {size} x {size} pixels take {needed / 2**30:,.1f} GiB, and {root} "
            f"has room for {free / 2**30:,.1f} GiB. Ask for a smaller image_size, or make room."
        )


def _decode(files: list[Path], images: np.ndarray, label: str) -> None:
    """Read every file into its row."""
    # Pillow decodes outside the interpreter's lock, so threads are enough.
    with ThreadPoolExecutor() as pool, bar(total=len(files), desc=label, unit="image") as shown:
        for start in range(0, len(files), CHUNK):  # so that results do not pile up
            chunk = files[start : start + CHUNK]
            decoded = pool.map(partial(read_image, size=images.shape[-1]), chunk)
            for row, pixels in enumerate(decoded, start):
                images[row] = pixels
                shown.update()


def _digest(files: list[Path]) -> str:
    """A name for these files as they are now: another when any is added, removed or changed."""
    told = hashlib.sha256(_RULES)
    for file in files:
        status = file.stat()
        told.update(os.fsencode(f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}\n"))
    return told.hexdigest()[:16]


def read_image(file: Path, size: int) -> np.ndarray:
    """One image, scaled and centre-cropped to a square: uint8 (3, size, size).

    Pixels are those that torchvision's `ImageFolder` reads: transparency is dropped, and the
    orientation that a camera noted is not applied. Greys of 16 bits, which Pillow would cut off at
    255, are scaled.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not file.is_file():  # a pipe would be waited for
        raise _unreadable(file, "it is no file, or a link to none")
    content = file.read_bytes()  # what goes wrong from here on is the image's fault
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            image.draft("RGB", (2 * size, 2 * size))  # JPEG: decode no larger than needed
            fitted = ImageOps.fit(_as_rgb(image), (size, size), Image.Resampling.BICUBIC)
    except MemoryError:
        raise
    except UnidentifiedImageError as error:
        raise _unreadable(file, f"it is none of {', '.join(_FORMATS)}") from error
    except Exception as error:  # damaged images raise whatever Pillow stumbles over
        raise _unreadable(file, f"{error}") from error
    return np.array(fitted).transpose(2, 0, 1)


def _unreadable(file: Path, why: str) -> DamagedFile:
    return DamagedFile(
        f"{file} is not an image that can be read ({why}). Replace or remove it, and try again."
    )


def _as_rgb(image):
    """An image of Pillow with 8 bits for each of red, green and blue."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its greys are floating-point numbers, of which no one says what is white")
    if image.mode.startswith("I"):  # 0 .. 65535
        image = Image.fromarray(((np.asarray(image, np.int64) + 128) // 257).astype(np.uint8))
    return image.convert("RGB")
