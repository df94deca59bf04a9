"""Where datasets are kept on a machine, and what is said of a cached file that cannot be used."""

import hashlib
import os
from pathlib import Path

import numpy as np

from ..errors import DamagedFile
from ..files import repository

# Bytes of the digest behind a mapped array, and bytes that are read of it at a time.
_DIGEST, _AT_ONCE = 32, 1 << 24


def cache_folder() -> Path:
    """Folder of the cached datasets: see `root` of `load`."""
    if os.environ.get("SPLINELIB_DATA"):
        return Path(os.environ["SPLINELIB_DATA"]).expanduser()
    root = repository()
    return root / "data" / "cache" if root else Path.home() / ".cache" / "splinelib"


REMEDY = "Delete the file and try again; it will be made anew, for CIFAR from the network."


def damaged(path: Path, what: str) -> DamagedFile:
    """The error about a cached file, with what is wrong and what to do."""
    return DamagedFile(f"{path} is not a usable dataset cache: {what}. {REMEDY}")


def seal(path: Path) -> None:
    """Write a digest of an ``.npy`` file behind its array, where NumPy does not look."""
    digest = _digest(path, path.stat().st_size)
    with open(path, "ab") as file:
        file.write(digest)


def read_sealed(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Map a sealed file of bytes into memory, after comparing all of it with its digest.

    Returns
    -------
    ndarray
        uint8, mapped so that writing to it leaves the file as it is.

    Raises
    ------
    DamagedFile
        The file is not as it was sealed, or of another shape.
    OSError
        It cannot be opened.
    """
    size = path.stat().st_size - _DIGEST
    with open(path, "rb") as file:
        file.seek(max(0, size))
        written = file.read()
    if size < 0 or _digest(path, size) != written:
        raise damaged(path, "it does not agree with the digest that stands at its end")
    array = np.load(path, mmap_mode="c")
    if array.shape != shape or array.dtype != np.uint8:
        raise damaged(path, f"it should be uint8 of shape {shape}, not {array.shape}")
    return array


def _digest(path: Path, size: int) -> bytes:
    """SHA-256 of the first bytes of a file."""
    told = hashlib.sha256()
    with open(path, "rb") as file:
        while size > 0 and (content := file.read(min(size, _AT_ONCE))):
            told.update(content)
            size -= len(content)
    return told.digest()
