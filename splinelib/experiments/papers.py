"""Figures that papers printed, from ``data/published``."""

import csv

from ..files import checkout


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


def _cell(text: str) -> int | float | str | None:
    if not text:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
