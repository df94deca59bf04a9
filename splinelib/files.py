"""Where the project keeps its files, and how they are written."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

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

    What processes that were killed while they wrote to the same folder left behind is removed.

    Parameters
    ----------
    path
        The file to write; its folder is made if it is missing.

    Yields
    ------
    pathlib.Path
        A temporary file in the same folder. It takes the place of `path` when the block ends,
        and is removed if the block raises.

    Raises
    ------
    OSError
        The file cannot be written, because the disk is full for one; it names the file.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "note.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> (folder / "note.txt").read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(path.parent)
    with _temporary(path) as temporary:
        try:
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
        except OSError as error:
            if error.filename is None:  # as of a write to a full disk
                error.filename = str(path)
            raise
        finally:
            temporary.unlink(missing_ok=True)


# The suffix stays last because numpy.savez appends .npz to names that lack it.
_LEFT_BEHIND = re.compile(r"\..*-[a-z0-9_]{8}\.part(\.\w+)?")


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A new file beside `path`, locked by this process.

    However the process ends, the system lets go of the lock, and others see that nobody writes.
    """
    while True:
        temporary = path.parent / f".{path.stem}-{secrets.token_hex(4)}.part{path.suffix}"
        with open(temporary, "xb") as held:
            if fcntl is None:
                held.close()  # Windows cannot move a file that is open
            else:
                with suppress(OSError):  # a file system without locks: nobody else gets one either
                    fcntl.flock(held, fcntl.LOCK_EX)
            if temporary.exists():  # else it was taken for left behind before it was locked
                yield temporary
                return


def _remove_left_behind(folder: Path) -> None:
    """Remove the temporary files of a folder that no process holds."""
    names = [] if fcntl is None else os.listdir(folder)
    for temporary in [folder / name for name in names if _LEFT_BEHIND.fullmatch(name)]:
        with suppress(OSError), open(temporary, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()
