"""What a file should hold, as types and ranges, and where it does not."""

import math
import re
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones alone if `whole` says so."""

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        known = isinstance(value, int if self.whole else int | float)
        return known and not isinstance(value, bool) and self.low <= value <= self.high


NUMBER = (int, float)
COUNT = Range(0, 2**63, whole=True)
AMOUNT = Range(0)
SHARE = Range(0, 1)
# What JSON can hold and a calculation cannot: it reads 1e999 as infinity.
_LARGEST = Range(-1e300, 1e300)
# Half a character, which JSON can spell and nothing can print.
_HALF = re.compile("[\ud800-\udfff]")


def mismatches(value: object, schema: object, where: str) -> Iterator[str]:
    """Where a value is not of the types that a schema names, a sentence each.

    A dict names the keys that must be there, and with a question mark behind one that may be; a
    one-element list is a list of such, a one-key dict ``{str: ...}`` is a mapping, a tuple lists
    what is allowed instead. None stands for null, a `Range` for the numbers in it. Numbers are
    finite.

    Examples
    --------
    >>> list(mismatches({"a": -1}, {"a": COUNT, "b?": str}, "file"))
    ['file.a is -1']
    """
    if isinstance(schema, list):
        if not isinstance(value, list | tuple):
            yield f"{where} should be a list"
            return
        for index, entry in enumerate(value):
            yield from mismatches(entry, schema[0], f"{where}[{index}]")
    elif isinstance(schema, dict):
        if not isinstance(value, dict):
            yield f"{where} should be an object"
        elif str in schema:
            for key, entry in value.items():
                if not isinstance(key, str):
                    yield f"{where} has the key {reprlib.repr(key)}"
                yield from mismatches(entry, schema[str], f"{where}.{key}")
        else:
            for key, expected in schema.items():
                name = key.removesuffix("?")
                if name in value:
                    yield from mismatches(value[name], expected, f"{where}.{name}")
                elif name == key:
                    yield f"{where}.{key} is missing"
    elif not _fits(value, schema):
        yield f"{where} is {reprlib.repr(value)}"


def _fits(value: object, kind: object) -> bool:
    if isinstance(kind, tuple):
        return any(_fits(value, one) for one in kind)
    if kind is None:
        return value is None
    if isinstance(value, bool):
        return kind in (bool, object)
    if isinstance(value, int | float) and value not in _LARGEST:
        return False
    if isinstance(value, str) and _HALF.search(value):
        return False
    if isinstance(kind, Range):
        return value in kind
    return isinstance(value, int | float if kind is float else kind)
