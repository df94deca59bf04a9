"""Where datasets are kept on a machine, and what is said of a cached file that cannot be used."""

import os
from pathlib import Path

from ..errors import DamagedFile
from ..files import repository


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
