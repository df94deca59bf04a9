"""Archives of tensors and arrays, written whole and checked whole when they are read.

`torch.save` and `numpy.savez` write zip archives, which carry a checksum of each member. PyTorch
does not look at it, so a flipped bit of a weight would be read as if nothing were wrong. Here every
member is compared with its checksum first. Damage is a `DamagedFile`; what is wrong with the disk,
a permission or the memory is said as what it is.
"""

import errno
import hashlib
import os
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
import torch
from torch import Tensor, nn

from .errors import DamagedFile
from .files import replacing

# Bytes of a tensor that are brought to the CPU at a time.
_AT_ONCE = 1 << 26
# What is read back without executing anything; what lies in a container is asked for itself.
_READABLE = frozenset(
    {type(None), bool, int, float, complex, str, bytes, Tensor, nn.Parameter}
    | {torch.Size, torch.dtype, torch.device, dict, OrderedDict, Counter, list, tuple, set}
)
# How an archive begins, and how its last part does, which has no comment behind it.
_BEGINNING, _ENDING = b"PK\x03\x04", b"PK\x05\x06"
_END = struct.Struct("<4s6xH10x")  # it says how many members there are,
_UNCOUNTED = 0xFFFF  # or that they are too many for it


def write_tensors(path: str | os.PathLike, content: object) -> None:
    """Write tensors and plain values with `torch.save`, whole or not at all.

    Raises
    ------
    TypeError
        Something in the content could not be read back; see `check_readable`.
    OSError
        The file cannot be written, because the disk is full for one; it names the file.
    """
    check_readable(content, "content")
    with replacing(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # PyTorch stumbles over its own half-written archive, and hides what stopped it.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def check_readable(content: object, where: str) -> None:
    """Refuse to write what `read_tensors`, which executes nothing, could not read back.

    Parameters
    ----------
    content : object
        Tensors and plain values, in dicts, lists, tuples and sets.
    where : str
        What the content is, for the error.

    Raises
    ------
    TypeError
        It names the first place that holds something else, a number of NumPy's for one.

    Examples
    --------
    >>> check_readable({"rows": [{"accuracy": np.float64(0.5)}]}, "history")
    Traceback (most recent call last):
    ...
    TypeError: history.rows[0].accuracy is of numpy.float64, which could not be read back from ...
    """
    kind = type(content)
    if isinstance(content, dict):
        for key, value in content.items():
            check_readable(key, f"the key {key!r} of {where}")
            check_readable(value, f"{where}.{key}")
    elif kind in (list, tuple, set):
        for index, value in enumerate(content):
            check_readable(value, f"{where}[{index}]")
    if kind not in _READABLE:
        raise TypeError(
            f"{where} is of {kind.__module__}.{kind.__qualname__}, which could not be read back "
            "from a file: make it a plain number, a text, a list or a dict of such, or a tensor"
        )


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
    with _opened(path, what, remedy) as (file, archive):
        if (damaged := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"{damaged} does not agree with its checksum")
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True)


def read_arrays(path: str | os.PathLike, what: str, remedy: str) -> dict[str, np.ndarray]:
    """Read the arrays of an ``.npz`` file; arguments and errors as for `read_tensors`."""
    arrays = {}
    with _opened(path, what, remedy) as (_, archive):
        for name in archive.namelist():
            with archive.open(name) as member:
                array = np.lib.format.read_array(member, allow_pickle=False)
                # The checksum is compared at the end of a member, where NumPy need not come.
                if member.read():
                    raise zipfile.BadZipFile(f"{name} is longer than its array")
            arrays[name.removesuffix(".npy")] = array
    return arrays


@contextmanager
def _opened(
    path: str | os.PathLike, what: str, remedy: str
) -> Iterator[tuple[IO[bytes], zipfile.ZipFile]]:
    """An archive opened for reading; what goes wrong with it is said as what it is."""
    with open(path, "rb") as file:  # a directory, a permission: not damage
        try:
            count = _count(file)
            with zipfile.ZipFile(file) as archive:
                if count not in (len(archive.infolist()), _UNCOUNTED):
                    raise zipfile.BadZipFile("its directory hides a member")
                yield file, archive
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


def _count(file: IO[bytes]) -> int:
    """How many members an archive says it has, if it begins and ends as one."""
    begins = file.read(len(_BEGINNING))
    file.seek(-_END.size, os.SEEK_END)
    ends, count = _END.unpack(file.read())
    if begins != _BEGINNING or ends != _ENDING:
        raise zipfile.BadZipFile("it does not begin and end as an archive")
    return count


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
