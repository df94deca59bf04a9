"""Records: one JSON file for each experiment, checked, locked and never half written.

What a record holds is for the modules that write them to say, as a schema of types; here is how
it is read, written and checked, and where it lies.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .. import data
from ..errors import DamagedFile, SplineError
from ..files import checkout, replacing


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
    """Where a value is not of the types that a schema names, a sentence each.

    A dict names the keys that must be there, a one-element list is a list of such, a one-key dict
    ``{str: ...}`` is a mapping, a tuple lists what is allowed instead. None stands for null.
    """
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
