"""Numbers and settings in words."""

from collections.abc import Iterable, Sequence


def over_seeds(values: Sequence[float], pattern: str = "{:g}") -> str:
    """Mean of some values, with the least and the most in brackets if they differ.

    Examples
    --------
    >>> over_seeds([0.5, 0.7], "{:.0%}"), over_seeds([3, 3], "{:.1f}")
    ('60% (50% to 70%)', '3.0')
    """
    if not len(values):
        raise ValueError("there are no values to take the mean of")
    least, most = pattern.format(min(values)), pattern.format(max(values))
    mean = pattern.format(sum(values) / len(values))
    return mean if least == most else f"{mean} ({least} to {most})"


def differences(before: dict, now: dict) -> str:
    """Where settings of now are not those of before, in words; empty if nowhere."""
    return ", ".join(
        f"{name} {before.get(name)} (now {value})"
        for name, value in now.items()
        if before.get(name) != value
    )


def printable(text: str) -> str:
    """Text on one line, with what could steer a terminal written out.

    Examples
    --------
    >>> print(printable("a name\\x1b[2J\\n"))
    a name\\x1b[2J\\n
    """
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text in columns, each printable: the first flush left, the others flush right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(["", first.ljust(widths[0]), *cells]).rstrip())
    return lines


def check_choice(what: str, value: object, known: Iterable) -> None:
    """Refuse a value that is none of those known, with the list of them.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> check_choice("scope", "layerwise", ("global", "layerwise"))
    """
    known = list(known)
    if value not in known:
        listed = ", ".join(repr(choice) for choice in known)
        raise ValueError(f"There is no {what} {value!r}. Known: {listed}.")
