"""Give each notebook the cell that prepares Colab, and does nothing anywhere else.

    python -m tools.setup_cell

Colab opens a notebook from the repository and has neither the library nor its records, so the cell
fetches both. It names the repository, ``repository.url`` of ``_config.yml``: run this after that
has changed. As long as it is empty, the cell says so in Colab.
"""

import json

from tools import addresses, chapters

TAG = "setup"
_IDENTITY = "setup"
_OPENING = """\
# Only Colab needs this: it has neither the library nor its records.
import sys

if "google.colab" in sys.modules and "/content/book" not in sys.path:
"""
_FETCH = """\
    import subprocess

    book, pip = "/content/book", [sys.executable, "-m", "pip", "install", "-q"]
    origin = "{url}"
    subprocess.run(["git", "clone", "--depth=1", origin, book], check=True)
    subprocess.run([*pip, "--editable", book], check=True)
    sys.path.insert(0, book)"""
_UNKNOWN = """\
    raise RuntimeError(
        "This notebook does not know its repository. Write its address into "
        "_config.yml, repository.url, and run: python -m tools.setup_cell"
    )"""


def source() -> str:
    """The code of the cell, for the repository that _config.yml names."""
    url = addresses.repository()
    return _OPENING + (_FETCH.format(url=url) if url else _UNKNOWN)


def prepared(notebook: dict) -> dict:
    """A notebook, as JSON has it, with the cell right behind that of the parameters."""
    cells = [cell for cell in notebook["cells"] if cell["id"] != _IDENTITY]
    lines = source().splitlines(keepends=True)
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": _IDENTITY,
        "metadata": {"tags": ["remove-cell", TAG]},
        "outputs": [],
        "source": lines,
    }
    tags = [cell["metadata"].get("tags", []) for cell in cells]
    behind = next(at for at, given in enumerate(tags) if "parameters" in given) + 1
    return notebook | {"cells": [*cells[:behind], cell, *cells[behind:]]}


def main() -> None:
    """Write the cell into every notebook of the book."""
    for path in chapters.notebooks():
        notebook = prepared(json.loads(path.read_text()))
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
