"""A tree of image files like ImageNet's as tensors.

A folder of more images than fit in memory is decoded once into a file, of which the system brings
in what a batch needs.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import DamagedFile
from ..files import replacing
from ..progress import bar
from .caches import damaged
from .dataset import CHUNK, Dataset, statistics

# Bytes of decoded images from which a folder's are kept in a file.
_IN_MEMORY = 2**30
_IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp"}


def load_folder(name: str, path: Path, image_size: int, root: Path) -> Dataset:
    """The images of a tree, for `load`, whose errors these are."""
    if image_size < 1:
        raise ValueError(f"image_size is a number of pixels, at least 1, not {image_size}.")
    train_folder = path / "train"
    test_folder = path / "val" if (path / "val").is_dir() else path / "test"
    for folder in (path, train_folder, test_folder):
        if not folder.is_dir():
            raise FileNotFoundError(
                f"There is no folder {folder}. An image folder holds train/CLASS/*.jpg and "
                "val/CLASS/*.jpg (or test/CLASS/*.jpg)."
            )
    classes = sorted(entry.name for entry in train_folder.iterdir() if entry.is_dir())
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


def _read_tree(folder: Path, classes: list[str], size: int, root: Path) -> tuple[Tensor, Tensor]:
    unknown = sorted({entry.name for entry in folder.iterdir() if entry.is_dir()} - set(classes))
    if unknown:
        raise ValueError(
            f"{folder} holds classes that train lacks: {', '.join(unknown[:5])}"
            f"{' and more' if len(unknown) > 5 else ''}."
        )
    files = [
        (file, label)
        for label, name in enumerate(classes)
        for file in sorted((folder / name).rglob("*"))
        if file.suffix.lower() in _IMAGE_SUFFIXES
    ]
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no images ({', '.join(sorted(_IMAGE_SUFFIXES))} in class folders)."
        )
    labels = torch.tensor([label for _, label in files])
    paths, shape = [file for file, _ in files], (len(files), 3, size, size)
    if len(files) * 3 * size**2 < _IN_MEMORY:
        images = np.empty(shape, np.uint8)
        _decode(paths, images, f"read {folder.name}")
        return torch.from_numpy(images), labels
    cache = root / "folders" / f"{folder.parent.name}-{folder.name}-{size}-{_digest(paths)}.npy"
    if not cache.exists():
        with replacing(cache) as temporary:
            written = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
            _decode(paths, written, f"decode {folder.name} into {cache.name}")
            written.flush()
            del written
    try:
        # Copy on write: the file stays as it is, and PyTorch has memory that it may write to.
        images = np.load(cache, mmap_mode="c")
    except (ValueError, EOFError, OSError) as error:
        raise damaged(cache, f"it cannot be read ({error})") from error
    if images.shape != shape or images.dtype != np.uint8:
        raise damaged(cache, f"it should be uint8 of shape {shape}, not {images.shape}")
    return torch.from_numpy(images), labels


def _decode(files: list[Path], images: np.ndarray, label: str) -> None:
    """Read every file into its row."""
    # Pillow decodes outside the interpreter's lock, so threads are enough.
    with ThreadPoolExecutor() as pool, bar(total=len(files), desc=label, unit="image") as shown:
        for start in range(0, len(files), CHUNK):  # so that results do not pile up
            chunk = files[start : start + CHUNK]
            decoded = pool.map(partial(_read_image, size=images.shape[-1]), chunk)
            for row, pixels in enumerate(decoded, start):
                images[row] = pixels
                shown.update()


def _digest(files: list[Path]) -> str:
    """A name for these files as they are now: another when any is added, removed or changed."""
    told = hashlib.sha256()
    for file in files:
        status = file.stat()
        told.update(f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return told.hexdigest()[:16]


def _read_image(file: Path, size: int) -> np.ndarray:
    """One image, scaled and centre-cropped to a square: uint8 (3, size, size)."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            image.draft("RGB", (2 * size, 2 * size))  # JPEG: decode no larger than needed
            fitted = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise DamagedFile(
            f"{file} is not an image that can be read ({error}). Replace or remove it, and try "
            "again."
        ) from error
    return np.array(fitted).transpose(2, 0, 1)
