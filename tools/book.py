"""Build the book: execute what changed, then turn the executed copies into pages.

    python -m tools.book [--scale quick]

The pages are built from a staging folder, ``_build/stage``, that holds the executed
copies in place of the notebooks, so Jupyter Book itself runs nothing. A build that fails
or is interrupted leaves the earlier pages as they were.
"""

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml

from splinelib.plotting.scripts import MODULES, bundle, figures_script, playground_style
from tools import addresses, cards, chapters, downloads, links, news, numbering, pages, weight
from tools.chapters import BUILD, ROOT, SCALES, ChapterError

STAGE = BUILD / "stage"
HTML = BUILD / "html"
LOG = BUILD / "book.log"
# MathJax as it is served: TeX input, web fonts, and what its accessibility menu loads.
MATHJAX = ("tex-chtml-full.js", "output/chtml/fonts/woff-v2", "a11y", "sre/mathmaps/en.json")


def mathjax_folder() -> Path:
    """Find the MathJax that the package sphinx-mathjax-offline carries."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    return Path(spec.origin).parent / "static" / "mathjax"


def missing_pages() -> list[str]:
    """List the pages that _toc.yml names and nobody has written."""
    return [page for page in chapters.pages() if chapters.page_source(page) is None]


def contents_without(missing: list[str]) -> dict:
    """Read _toc.yml, leaving out the pages in `missing` and the parts this empties."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    for part in contents["parts"]:
        part["chapters"] = [c for c in part["chapters"] if c["file"] not in missing]
    contents["parts"] = [part for part in contents["parts"] if part["chapters"]]
    return contents


def stage(scale: str) -> None:
    """Lay out what Jupyter Book reads, from scratch.

    Raises
    ------
    ChapterError
        If a page of the table of contents does not exist and this is a CI job.
    """
    missing = missing_pages()
    if missing:
        message = f"_toc.yml names pages that do not exist: {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            raise ChapterError(message)
        print(f"{message}. They are left out.", file=sys.stderr)
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(
        ROOT / "book", STAGE / "book", ignore=shutil.ignore_patterns("*.ipynb", ".ipynb_*")
    )
    for notebook in chapters.notebooks():
        target = STAGE / notebook.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = nbformat.read(chapters.executed_path(notebook, scale), as_version=4)
        pages.complete(copy, notebook)
        pages.fold_once(copy)
        links.name_figures(copy)
        nbformat.write(copy, target)
    # The records lie beside the pages as they do in a checkout, so that one link serves both.
    shutil.copytree(ROOT / "data/runs", STAGE / "beside/data/runs")
    shutil.copyfile(ROOT / "CHANGELOG.md", STAGE / "CHANGELOG.md")
    config = chapters.configuration()
    addresses.fill(config)
    (STAGE / "_config.yml").write_text(yaml.safe_dump(config, sort_keys=False))
    (STAGE / "_toc.yml").write_text(yaml.safe_dump(contents_without(missing), sort_keys=False))
    assets = STAGE / "book/_assets"
    (assets / "playground.js").write_text(bundle(MODULES / "playground.js"))
    (assets / "playground.css").write_text(playground_style())
    (assets / "figures.js").write_text(figures_script())
    for name in MATHJAX:
        source, target = mathjax_folder() / name, assets / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)


def stage_fingerprint() -> str:
    """Hash the staging folder and what makes pages of it: they follow from that."""
    digest = hashlib.sha256()
    for module in sorted((ROOT / "tools").glob("*.py")):
        digest.update(module.read_bytes())
    for path in sorted(p for p in STAGE.rglob("*") if p.is_file()):
        digest.update(f"\0{path.relative_to(STAGE)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def complaints(log: Path) -> str:
    """Pick the warnings and errors out of Sphinx's log, in the terms of the sources."""
    text = re.sub(r"\x1b\[[\d;]*m", "", log.read_text(errors="replace"))
    text = text.replace(str(STAGE) + os.sep, "")
    # MyST-NB counts lines as 10,000 times the cell, from 1, plus the line in it
    text = re.sub(
        r"\.ipynb:(\d+)(\d{4}):", lambda m: f".ipynb, cell {m[1]}, line {int(m[2])}:", text
    )
    lines = text.splitlines()
    found = [line for line in lines if "WARNING" in line or "ERROR" in line]
    return "\n".join(dict.fromkeys(found or lines[-20:]))


def render(scale: str = "quick") -> None:
    """Turn the staging folder into pages, with every warning an error.

    Always from nothing: it takes seconds, and an incremental build would keep stale
    navigation and would not repeat the warnings of pages that did not change.

    Raises
    ------
    ChapterError
        With the warnings of Sphinx, if there were any.
    """
    stamp = HTML / ".fingerprint"
    wanted = stage_fingerprint()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("Building the pages ...", file=sys.stderr, flush=True)
    work = BUILD / "sphinx"
    shutil.rmtree(work, ignore_errors=True)
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(STAGE)]
    command += ["--path-output", str(work), "-W", "-n", "--keep-going"]
    with LOG.open("w") as log:
        outcome = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT)
    if outcome.returncode != 0:
        raise ChapterError(f"{complaints(LOG)}\n\nThe pages could not be built. All of it: {LOG}")
    built = work / "_build" / "html"
    numbering.complete(built)
    cards.describe(built, scale)
    links.complete(built)
    downloads.complete(built, scale)
    news.write(built)
    start_figures(built)
    weight.lighten(built)
    (built / ".fingerprint").write_text(wanted)
    shutil.rmtree(HTML, ignore_errors=True)
    os.replace(built, HTML)
    shutil.rmtree(work, ignore_errors=True)


def start_figures(folder: Path) -> None:
    """Give every built page with figures that move the script that they share, once."""
    version = hashlib.sha256(figures_script().encode()).hexdigest()[:8]  # no stale copy is read
    for page in chapters.pages():
        file = folder / f"{page}.html"
        if file.exists() and 'class="sl sl-live"' in (markup := file.read_text()):
            up = "../" * page.count("/")
            script = f'<script defer src="{up}_static/figures.js?v={version}"></script>\n'
            file.write_text(markup.replace("</body>", f"{script}</body>", 1))


def build(scale: str = "quick") -> Path:
    """Execute the chapters, build the pages, and return the path of the first page.

    Raises
    ------
    ChapterError
        If a chapter fails, or Sphinx has something to say.
    """
    chapters.report_failures(chapters.execute(chapters.notebooks(), scale))
    stage(scale)
    render(scale)
    return HTML / "index.html"


def main() -> None:
    """Command line: build, and say where the book is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=SCALES, default="quick")
    arguments = parser.parse_args()
    try:
        first_page = build(arguments.scale)
    except ChapterError as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; what is finished is kept, and the next call goes on from there.")
    print(f"The book is at {first_page}")


if __name__ == "__main__":
    main()
