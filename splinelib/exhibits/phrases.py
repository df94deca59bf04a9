"""What exhibits say in words: curves for who cannot see them, links, and text that stays text."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import numpy as np

# What Markdown could take for markup. A backslash before ASCII punctuation is always read as text.
_ACTIVE = re.compile(r"([\\`*_{}\[\]<>()#|~$&!^])")


_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve"


def first_to_last(series: Mapping[str, Sequence], pattern: str = "{:.2f}") -> str:
    """Where each curve starts and where it ends, as an alt text says it.

    Parameters
    ----------
    series : mapping of name to array_like, shape (T,) or (seeds, T)
        As `plotting.curves` takes them; of several seeds the mean is told.
    pattern : str
        Format of one number.

    Examples
    --------
    >>> first_to_last({"codes": [0.5, 0.2, 0.1], "masks": [[0.3, 0.1], [0.1, 0.1]]}, "{:.1f}")
    'codes from 0.5 to 0.1, masks from 0.2 to 0.1'
    """
    means = {
        name: np.atleast_2d(np.asarray(curve, float)).mean(0) for name, curve in series.items()
    }
    return ", ".join(
        f"{name} from {pattern.format(curve[0])} to {pattern.format(curve[-1])}"
        for name, curve in means.items()
    )


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them.

    Examples
    --------
    >>> listed(["11", "12", "16"]), listed(["11"])
    ('11, 12 and 16', '11')
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def number(count: int) -> str:
    """A small number as a word, others in digits.

    Examples
    --------
    >>> number(3), number(40)
    ('three', '40')
    """
    words = _NUMBERS.split()
    return words[count] if 0 <= count < len(words) else f"{count}"


def sheet(name: str, kind: str = "record") -> str:
    """Address of a record's sheet on the page *Reproduce*, seen from a chapter.

    Parameters
    ----------
    name : str
        Of the record.
    kind : {"record", "oneshot"}

    Examples
    --------
    >>> sheet("cifar10-vgg16-w1-e8-s0", "oneshot")
    '../reproduce.html#oneshot-cifar10-vgg16-w1-e8-s0'
    """
    return f"../reproduce.html#{kind}-{quote(name, safe='')}"


def as_text(text: str) -> str:
    """Text that Markdown shows as it stands, on one line, whatever is in it.

    Examples
    --------
    >>> print(as_text("Intel(R) *fast* <b>"))
    Intel\\(R\\) \\*fast\\* \\<b\\>
    """
    return _ACTIVE.sub(r"\\\1", " ".join(text.split()))
