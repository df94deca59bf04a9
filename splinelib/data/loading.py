"""Datasets by name: scikit-learn's digits, CIFAR through torchvision, or a folder of images."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from ..archives import read_arrays
from ..files import replacing
from .caches import REMEDY, cache_folder, damaged
from .dataset import Dataset, statistics, stratified
from .folders import load_folder

NAMES = ("digits", "cifar10", "cifar100", "folder:PATH")
# Channel statistics of Early-Bird Tickets' released code (RICE-EIC/Early-Bird-Tickets, main.py),
# which it uses for CIFAR-10 and CIFAR-100 alike. Other sets are measured.
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
# What a disk says rather than a network.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)
_CLASSES = {"cifar10": 10, "cifar100": 100}


def load(name: str, root: str | os.PathLike | None = None, image_size: int = 64) -> Dataset:
    """Load a dataset by name.

    Parameters
    ----------
    name : str
        - ``"digits"``: 8 x 8 handwritten digits of scikit-learn, 1,438 to train and 359 to test.
          Needs no download.
        - ``"cifar10"``, ``"cifar100"``: from ``root/NAME.npz`` if that is there, otherwise
          downloaded through torchvision once and kept there.
        - ``"folder:PATH"``: a tree like ImageNet's, ``PATH/train/CLASS/*.jpg`` and
          ``PATH/val/CLASS/*.jpg`` (or ``test``). Images are scaled and centre-cropped once, so
          training crops and mirrors them as it does small ones, and does not rescale them. From
          1 GiB of decoded images on they are kept in ``root/folders`` and mapped into memory.
          BMP, JPEG, PNG, PPM and WebP are read as torchvision's `ImageFolder` reads them:
          transparency is dropped, and the orientation that a camera noted is not applied. Greys of
          16 bits are scaled, by 1/257. Hidden files and folders are passed over, and so are files
          whose suffix is not of these formats.
    root : path, optional
        Folder of the cached files. Default: the environment variable
        ``SPLINELIB_DATA``, else ``data/cache`` of the checkout, else ``~/.cache/splinelib``.
    image_size : int
        Side in pixels that ``folder:`` images are scaled and centre-cropped to, 8192 at most.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        The name is unknown, the classes of a tree's parts are not the same, or the images take
        more room than the disk has.
    DamagedFile
        The cache file cannot be read, or does not hold what it should; or an image cannot be read.
    ConnectionError
        The dataset has to be downloaded and cannot be.
    FileNotFoundError
        A folder of the tree is missing, or a class has no images.
    PermissionError
        A folder or an image may not be read.

    Examples
    --------
    >>> digits = load("digits")
    >>> digits.shape, len(digits.train_images), len(digits.classes)
    ((1, 8, 8), 1438, 10)
    """
    if not isinstance(name, str):
        raise TypeError(f"A dataset is loaded by its name, a string, not by {type(name).__name__}.")
    if name == "digits":
        return _digits()
    if name in _CLASSES:
        return _cifar(name, Path(root) if root is not None else cache_folder())
    if name.startswith("folder:"):
        root = Path(root) if root is not None else cache_folder()
        return load_folder(name, _folder(name), image_size, root)
    raise ValueError(f"There is no dataset {name!r}. Known: {', '.join(NAMES)}.")


def _folder(name: str) -> Path:
    """The path in the name of a dataset that is a folder."""
    place = name.removeprefix("folder:")
    if not place:
        raise ValueError(f"{name!r} names no folder. Say where it is: folder:PATH.")
    try:
        return Path(place).expanduser()
    except RuntimeError as error:  # ~somebody, who is not known here
        raise FileNotFoundError(f"There is no folder {place}. {error}") from error


def _digits() -> Dataset:
    from sklearn.datasets import load_digits  # takes a second, which other datasets do not need

    pixels, target = load_digits(return_X_y=True)
    # 0 .. 16 shades become 0 .. 255.
    images = torch.from_numpy((pixels * (255 / 16)).round().astype(np.uint8)).view(-1, 1, 8, 8)
    labels = torch.from_numpy(target.astype(np.int64))
    test = stratified(labels, 0.2, seed=0)
    mean, std = statistics(images[~test])
    return Dataset(
        name="digits",
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        classes=[str(digit) for digit in range(10)],
        mean=mean,
        std=std,
        flips=False,
    )


def _cifar(name: str, root: Path) -> Dataset:
    path = root / f"{name}.npz"
    if not path.exists():
        _download(name, path)
    arrays = _read_cache(path, _CLASSES[name])
    images = {
        part: torch.from_numpy(arrays[f"{part}_images"]).permute(0, 3, 1, 2).contiguous()
        for part in ("train", "test")
    }
    return Dataset(
        name=name,
        train_images=images["train"],
        train_labels=torch.from_numpy(arrays["train_labels"].astype(np.int64)),
        test_images=images["test"],
        test_labels=torch.from_numpy(arrays["test_labels"].astype(np.int64)),
        classes=[str(label) for label in arrays["classes"]],
        mean=CIFAR_MEAN,
        std=CIFAR_STD,
    )


def _read_cache(path: Path, classes: int) -> dict[str, np.ndarray]:
    """Arrays of a cache file, checked, or `DamagedFile` saying what is wrong with it."""
    keys = ("train_images", "train_labels", "test_images", "test_labels", "classes")
    arrays = read_arrays(path, "dataset cache", REMEDY)
    if missing := [key for key in keys if key not in arrays]:
        raise damaged(path, f"it lacks {', '.join(missing)}")
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (32, 32, 3):
            raise damaged(
                path,
                f"{part}_images should be uint8 of shape (N, 32, 32, 3) and is {images.dtype} of "
                f"shape {images.shape}",
            )
        if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1] or not len(labels):
            raise damaged(
                path,
                f"{part}_labels should be one integer for each of {len(images)} images and is "
                f"{labels.dtype} of shape {labels.shape}",
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise damaged(path, f"{part}_labels go outside 0 .. {classes - 1}")
    if arrays["classes"].shape != (classes,) or arrays["classes"].dtype.kind != "U":
        raise damaged(path, f"classes should be {classes} names")
    return arrays


def _download(name: str, path: Path) -> None:
    """Fetch a CIFAR set through torchvision and keep it at `path`."""
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix=f".{name}-", dir=path.parent)
    try:
        train = kind(folder, train=True, download=True)
        test = kind(folder, train=False)
        with replacing(path) as temporary:
            np.savez_compressed(
                temporary,
                train_images=train.data,
                train_labels=np.asarray(train.targets, dtype=np.int64),
                test_images=test.data,
                test_labels=np.asarray(test.targets, dtype=np.int64),
                classes=np.asarray(train.classes),
            )
    except (OSError, RuntimeError) as error:
        if getattr(error, "errno", None) in _DISK:
            raise
        raise ConnectionError(
            f"{name} is not at {path} and could not be downloaded ({error}). Connect to a network "
            f"and try again, or copy a {name}.npz made on another machine to {path.parent}, or "
            'use "digits", which needs no download.'
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def public_name(dataset: str) -> str:
    """A dataset's name without the path of a folder."""
    if not dataset.startswith("folder:"):
        return dataset
    return f"folder:{Path(dataset.removeprefix('folder:')).name}"
