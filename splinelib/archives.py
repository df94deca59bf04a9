"""Archives of tensors and arrays, written whole and checked whole when they are read.

`torch.save` and `numpy.savez` write zip archives, which carry a checksum of each member. PyTorch
does not look at it, so a flipped bit of a weight would be read as if nothing were wrong. Here every
member is compared with its checksum first. Damage is a `DamagedFile`; what is wrong with the disk,
a permission or the memory is said as what it is.
"""

import errno
import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from .errors import DamagedFile
from .files import replacing

# Bytes of a tensor that are brought to the CPU at a time.
_AT_ONCE = 1 << 26
_END = b"PK\x05\x06"  # the last part of an archive, 22 bytes


def write_tensors(path: str | os.PathLike, content: object) -> None:
    """Write tensors and plain values with `torch.save`, whole or not at all.

    Raises
    ------
    OSError
        The file cannot be written, because the disk is full for one; it names the file.
    """
    with replacing(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # PyTorch stumbles over its own half-written archive, and hides what stopped it.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def read_tensors(path: str | os.PathLike, what: str, remedy: str) -> object:
    """Read what `write_tensors` wrote, on the CPU; nothing in the file is ever executed.

    Parameters
    ----------
    path : path
    what : str
        What the file is, for the error: ``"checkpoint"``.
    remedy : str
        What to do about a damaged one, a sentence.

    Raises
    ------
    DamagedFile
        The file is not such an archive, or not as it was written.
    OSError, MemoryError
        It cannot be opened or read, or there is too little memory; the file may be sound.
    """
    with _whole(path, what, remedy) as file:
        return torch.load(file, map_location="cpu", weights_only=True)


def read_arrays(path: str | os.PathLike, what: str, remedy: str) -> dict[str, np.ndarray]:
    """Read the arrays of an ``.npz`` file; arguments and errors as for `read_tensors`."""
    with _whole(path, what, remedy) as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@contextmanager
def _whole(path: str | os.PathLike, what: str, remedy: str) -> Iterator:
    """An archive opened for reading, every member of it as its checksum says."""
    with open(path, "rb") as file:  # a directory, a permission: not damage
        try:
            _check(file)
            file.seek(0)
            yield file
        except Exception as error:  # what reads an archive raises many kinds where it is damaged
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                error.filename = error.filename or str(path)
                raise
            # PyTorch has no kind of its own for it on the CPU.
            if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
                raise MemoryError(f"There is too little memory for the {what} {path}.") from error
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DamagedFile(
                f"The {what} {path} is truncated, damaged or not one of ours ({said}). {remedy}"
            ) from error


def _check(file) -> None:
    """Refuse an archive of which any member is not as it was written."""
    with zipfile.ZipFile(file) as archive:
        if (damaged := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"{damaged} does not agree with its checksum")
        begins = min((member.header_offset for member in archive.infolist()), default=0)
    file.seek(-22, os.SEEK_END)
    if begins or file.read(4) != _END:
        raise zipfile.BadZipFile("there are bytes around the archive")


def digest(tensors: Iterable[Tensor]) -> str:
    """128 bits of SHA-256 of tensors, shapes and dtypes, in hexadecimal; equal on every device.

    Examples
    --------
    >>> digest([torch.zeros(2)]) == digest([torch.zeros(2)]) != digest([torch.zeros(3)])
    True
    """
    told = hashlib.sha256()
    for tensor in tensors:
        told.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
        for part in flat.split(_AT_ONCE):
            told.update(part.cpu().numpy())
    return told.hexdigest()[:32]
