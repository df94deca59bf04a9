"""Records: one JSON file for each experiment, checked, locked and never half written.

What a record holds is for the modules that write them to say, as a schema of types; here is how
it is read, written and checked, where it lies, and what every record says of its origin.
"""

import csv
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from . import data, parallel
from .errors import DamagedFile, SplineError
from .files import replacing, repository


class RunLocked(SplineError, RuntimeError):
    """Another process is writing the same record."""


# Parts of schemas. A dict names the keys that must be there, a one-element list is a list of
# such, a one-key dict {str: ...} is a mapping, a tuple lists what is allowed instead.
NUMBER = (int, float)
PROVENANCE = {
    "commit": (str, None),
    "uncommitted_changes": bool,
    "hardware": {"processor": str, "cores": int, "threads": int, "gpu": (str, None)},
    "versions": {str: (str, None)},
    "finished": str,
}


def read_json(path: str | os.PathLike, version: int, schema: dict) -> dict:
    """Read a record and check it against its schema.

    Parameters
    ----------
    path : path
    version : int
        The ``schema`` number that the record should carry.
    schema : dict
        As for `mismatches`.

    Raises
    ------
    DamagedFile
        It is not JSON, of another schema version, or lacks something; the message names it.
    """
    path = Path(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DamagedFile(
            f"The record {path.name} is not JSON ({error}). Restore it from version control, or "
            "delete it and run again."
        ) from error
    problems = check(record, version, schema)
    if problems:
        raise DamagedFile(
            f"The record {path.name} does not follow schema {version}: {'; '.join(problems)}. "
            "Records are not edited by hand: restore it, or delete it and run again."
        )
    return record


def write_json(path: Path, record: dict, version: int, schema: dict) -> None:
    """Check a record and write it, whole or not at all."""
    problems = check(record, version, schema)
    if problems:
        raise AssertionError(f"a record that breaks its own schema: {'; '.join(problems)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        text = json.dumps(record, indent=1, allow_nan=False)
        # Short rows (a matrix, a history) are easier to read and to compare on one line.
        temporary.write_text(_compact(text) + "\n", encoding="utf-8")


def check(record: object, version: int, schema: dict) -> list[str]:
    """What is wrong with a record, one sentence each; an empty list if nothing is."""
    if isinstance(record, dict) and record.get("schema") != version:
        return [f"its schema is {record.get('schema')!r}, and this code reads {version}"]
    return list(mismatches(record, schema, "record"))


def mismatches(value: object, schema: object, where: str) -> Iterator[str]:
    if isinstance(schema, list):
        if not isinstance(value, list):
            yield f"{where} should be a list"
            return
        for index, entry in enumerate(value):
            yield from mismatches(entry, schema[0], f"{where}[{index}]")
    elif isinstance(schema, dict):
        if not isinstance(value, dict):
            yield f"{where} should be an object"
            return
        if str in schema:
            for key, entry in value.items():
                yield from mismatches(entry, schema[str], f"{where}.{key}")
            return
        for key, expected in schema.items():
            if key in value:
                yield from mismatches(value[key], expected, f"{where}.{key}")
            else:
                yield f"{where}.{key} is missing"
    elif not _fits(value, schema):
        yield f"{where} is {value!r}"


def _fits(value: object, schema: object) -> bool:
    allowed = schema if isinstance(schema, tuple) else (schema,)
    if isinstance(value, bool):
        return bool in allowed
    if float in allowed and isinstance(value, int):
        return True
    return any(value is None if kind is None else isinstance(value, kind) for kind in allowed)


def _compact(text: str) -> str:
    """Put innermost lists and objects of indented JSON on one line each."""
    return re.sub(
        r"[\[{]\s[^\[\]{}]*[\]}]", lambda match: re.sub(r"\s*\n\s*", " ", match.group()), text
    )


def differences(before: dict, now: dict) -> str:
    """Where settings of now are not those of before, in words; empty if nowhere."""
    return ", ".join(
        f"{name} {before.get(name)} (now {value})"
        for name, value in now.items()
        if before.get(name) != value
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system lets go of when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        try:
            try:
                import fcntl
            except ImportError:  # Windows
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Its holder may have taken the file away between our opening and our locking it.
                here = os.stat(path) if path.exists() else None
                if here is None or not os.path.samestat(here, os.fstat(file.fileno())):
                    raise BlockingIOError("the lock has just changed hands")
        except OSError as error:
            raise RunLocked(
                f"Another process is writing the record {path.stem}. Wait until it is done, or "
                "give this run another name (--name)."
            ) from error
        try:
            yield
        finally:
            with suppress(OSError):  # Windows does not remove what is open
                path.unlink()


def folders(folder: str | os.PathLike | None) -> tuple[Path, Path]:
    """Folder of the records, folder of the checkpoints."""
    if folder is not None:
        return Path(folder), Path(folder) / "checkpoints"
    return checkout() / "data" / "runs", data.cache_folder() / "runs"


def checkout() -> Path:
    root = repository()
    if root is None:
        raise ValueError(
            "splinelib does not run from a checkout of the book, so there is no data folder: pass "
            "folder=..., or install it from a checkout with pip install -e ."
        )
    return root


def public_name(dataset: str) -> str:
    """A dataset's name without the path of a folder."""
    if not dataset.startswith("folder:"):
        return dataset
    return f"folder:{Path(dataset.removeprefix('folder:')).name}"


def published_tables() -> list[str]:
    """Names of the tables that `published` reads."""
    return sorted(file.stem for file in (checkout() / "data" / "published").glob("*.csv"))


def published(name: str) -> list[dict]:
    """Rows of a table that a paper printed, from ``data/published/NAME.csv``.

    Numbers come as int or float, empty cells as None.

    Raises
    ------
    ValueError
        There is no such table; the message lists those there are.
    """
    path = checkout() / "data" / "published" / f"{name}.csv"
    if not path.is_file():
        known = ", ".join(published_tables())
        raise ValueError(f"There is no published table {name!r}. Known: {known}.")
    with open(path, newline="", encoding="utf-8") as file:
        return [{key: _cell(value) for key, value in row.items()} for row in csv.DictReader(file)]


def provenance() -> dict:
    """Commit, hardware and versions of this process, without host name or paths."""
    packages = ("torchvision", "torch-pruning", "numpy")
    cuda = torch.cuda.is_available()
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "splinelib")),
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if cuda else None,
            "processes": parallel.processes(),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,  # names the build too
            **{package: _version(package) for package in packages},
        },
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _cell(text: str) -> int | float | str | None:
    if not text:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _git(*arguments: str) -> str | None:
    root = repository()
    if root is None:
        return None
    try:
        result = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
