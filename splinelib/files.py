"""Where the project keeps its files, and how they are written."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def repository() -> Path | None:
    """Root of the checkout that this package runs from, or None for an installed package."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "data").is_dir() else None


def checkout() -> Path:
    """`repository`, for what cannot do without it.

    Raises
    ------
    ValueError
        The package does not run from a checkout.
    """
    root = repository()
    if root is None:
        raise ValueError(
            "splinelib does not run from a checkout of the book, so there is no data folder: pass "
            "folder=..., or install it from a checkout with pip install -e ."
        )
    return root


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file so that a reader sees the old one or the new one, never half of it.

    Parameters
    ----------
    path
        The file to write; its folder is made if it is missing.

    Yields
    ------
    pathlib.Path
        A temporary file in the same folder. It takes the place of `path` when the block ends,
        and is removed if the block raises.

    Examples
    --------
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "note.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> (folder / "note.txt").read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last because numpy.savez appends .npz to names that lack it.
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem}-", suffix=f".part{path.suffix}"
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files private
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
