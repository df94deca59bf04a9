"""Records: one JSON file for each experiment, checked, locked and never half written.

What a record holds is for the modules that write them to say, as a schema of types; here is how
it is read, written and checked, and where it lies.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from filelock import FileLock, Timeout

from .. import data
from ..errors import DamagedFile, SplineError
from ..files import checkout, replacing
from ..schemas import COUNT, mismatches


class RunLocked(SplineError, RuntimeError):
    """Another process is writing the same record."""


# Part of the schemas of records; see `schemas.mismatches`.
PROVENANCE = {
    "commit": (str, None),
    "uncommitted_changes": bool,
    "hardware": {"processor": str, "cores": COUNT, "threads": COUNT, "gpu": (str, None)},
    "versions": {str: (str, None)},
    "finished": str,
}
# Wrong things that a message names before it breaks off.
_NAMED = 5


def read_json(
    path: str | os.PathLike,
    version: int,
    schema: dict,
    inconsistencies: Callable[[dict], Iterator[str]] | None = None,
) -> dict:
    """Read a record and check it against its schema, and against its digest if it has one.

    Parameters
    ----------
    path : path
    version : int
        The ``schema`` number that the record should carry.
    schema : dict
        As for `schemas.mismatches`.
    inconsistencies : callable, optional
        What in a record that follows the schema cannot be all the same, a sentence each.

    Returns
    -------
    dict
        The record without its digest, which belongs to the file.

    Raises
    ------
    DamagedFile
        It is not JSON, of another schema version, lacks something, holds what cannot be, or is not
        as it was written; the message names it.
    OSError
        It cannot be opened or read; it may be sound.
    """
    path = Path(path)
    content = path.read_bytes()
    try:
        record = json.loads(content.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(
            f"The record {path.name} is not JSON ({error}). Restore it from version control, or "
            "delete it and run again."
        ) from error
    problems = check(record, version, schema, inconsistencies)
    if problems:
        raise DamagedFile(
            f"The record {path.name} does not follow schema {version}: {'; '.join(problems)}. "
            "Records are not edited by hand: restore it, or delete it and run again."
        )
    # Records from before there were digests have none.
    written = record.pop("digest", None)
    if written is not None and written != _digest(record):
        raise DamagedFile(
            f"The record {path.name} is not as it was written: it does not agree with its digest. "
            "Records are not edited by hand: restore it, or delete it and run again."
        )
    return record


def write_json(
    path: Path,
    record: dict,
    version: int,
    schema: dict,
    inconsistencies: Callable[[dict], Iterator[str]] | None = None,
) -> None:
    """Check a record and write it with its digest, whole or not at all; as for `read_json`."""
    problems = check(record, version, schema, inconsistencies)
    if problems:
        raise AssertionError(f"a record that breaks its own schema: {'; '.join(problems)}")
    sealed = {"schema": version, "digest": _digest(record)} | record
    with replacing(path) as temporary:
        text = json.dumps(sealed, indent=1, allow_nan=False)
        # Short rows (a matrix, a history) are easier to read and to compare on one line.
        temporary.write_text(_compact(text) + "\n", encoding="utf-8")


def check(
    record: object,
    version: int,
    schema: dict,
    inconsistencies: Callable[[dict], Iterator[str]] | None = None,
) -> list[str]:
    """What is wrong with a record, one sentence each; an empty list if nothing is."""
    if isinstance(record, dict) and record.get("schema") != version:
        return [f"its schema is {record.get('schema')!r}, and this code reads {version}"]
    problems = list(islice(mismatches(record, schema, "record"), _NAMED))
    if isinstance(record, dict):
        unknown = record.keys() - {key.removesuffix("?") for key in schema} - {"digest"}
        problems += [f"record.{key} is not known" for key in sorted(unknown)]
    if problems or inconsistencies is None:
        return problems
    return list(islice(inconsistencies(record), _NAMED))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number that JSON has")


def _digest(record: dict) -> str:
    """SHA-256 of what a record says, however its file is laid out."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _compact(text: str) -> str:
    """Put innermost lists and objects of indented JSON on one line each."""
    return re.sub(
        r"[\[{]\s[^\[\]{}]*[\]}]", lambda match: re.sub(r"\s*\n\s*", " ", match.group()), text
    )


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of a record. However the process ends, the system lets go of it.

    Parameters
    ----------
    folder : Path
        Of the record. Locks lie in ``.locks`` inside it, and stay there.
    name : str
        Of the record.

    Raises
    ------
    RunLocked
        Another process, or another thread of this one, holds it.
    """
    (folder / ".locks").mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".locks" / f"{name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunLocked(
            f"Another process is writing the record {name}. Wait until it is done, or "
            "give this run another name (--name)."
        ) from error
    try:
        yield
    finally:
        lock.release()


def folders(folder: str | os.PathLike | None) -> tuple[Path, Path]:
    """Folder of the records, folder of the checkpoints."""
    if folder is not None:
        return Path(folder), Path(folder) / "checkpoints"
    return checkout() / "data" / "runs", data.cache_folder() / "runs"
