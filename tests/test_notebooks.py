"""Every chapter by the rules of the book: its source, and the copy that was executed from it.

The copies are those that the book is built from, so nothing is executed twice.
"""

import functools
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

from splinelib.exhibits import sheets
from tools import book, chapters, setup_cell

NOTEBOOKS = chapters.notebooks()
# A chapter has a number; a page of reference, such as the list of records, teaches nothing.
CHAPTERS = [notebook for notebook in NOTEBOOKS if notebook.stem[:2].isdigit()]
LONGEST_CELL = 52  # lines: what a screen shows


def name(notebook: Path) -> str:
    return notebook.stem


@functools.cache
def read(path: Path) -> nbformat.NotebookNode:
    """A notebook, read once for all the tests that look at it."""
    return nbformat.read(path, as_version=4)


def markdown(cells: list) -> str:
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.fixture(params=NOTEBOOKS, ids=name)
def source(request) -> nbformat.NotebookNode:
    """A notebook as it is in the repository."""
    return read(request.param)


@pytest.fixture(params=CHAPTERS, ids=name)
def chapter(request) -> nbformat.NotebookNode:
    """A numbered chapter as it is in the repository."""
    return read(request.param)


@pytest.fixture(params=NOTEBOOKS, ids=name)
def copy(request, executed) -> nbformat.NotebookNode:
    """A notebook as it was executed."""
    execution = executed[request.param]
    if execution.error:
        pytest.fail(f"not executed: {execution.error}", pytrace=False)
    return read(execution.copy)


def outputs(notebook: nbformat.NotebookNode) -> list:
    """List (cell, output) for every output."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [(cell, output) for cell in cells for output in cell.outputs]


# --- the table of contents ---------------------------------------------------------------


def test_contents_and_files_agree():
    assert book.missing_pages() == []
    listed = {chapters.ROOT / f"{page}.ipynb" for page in chapters.pages()}
    found = {f for f in (chapters.ROOT / "book").rglob("*.ipynb") if ".ipynb_" not in str(f)}
    assert found <= listed, "chapters that _toc.yml does not name"


# --- sources ----------------------------------------------------------------------------


def test_source_has_no_outputs(source):
    for cell in source.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None, cell.source


def test_source_names_a_kernel_that_every_machine_has(source):
    assert source.metadata.kernelspec.name == "python3"


def test_source_has_one_parameters_cell(source):
    tagged = [cell for cell in source.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert re.search(r'(?m)^scale = "quick"', tagged[0].source)


def test_opening_says_what_to_expect(chapter):
    opening = re.split(r"(?m)^## ", markdown(chapter.cells))[0]
    assert re.match(r"(\([\w-]+\)=\s+)?# \S", opening), "a chapter starts with its title"
    for promise in ("you(’|'| wi)ll do", "you(’|'| wi)ll learn", "you(’|'| wi)?(ll)? ?need"):
        assert re.search(promise, opening, re.IGNORECASE), f"the opening lacks: {promise}"
    assert re.search(r"how long|takes|time", opening, re.IGNORECASE)
    assert re.search(r"second|minute", opening), "the opening gives no duration"


def test_reader_predicts_before_a_result(chapter):
    cells = chapter.cells
    asked = [i for i, cell in enumerate(cells) if re.search(r"(?i)predict", markdown([cell]))]
    assert asked, "nothing asks the reader to predict"
    assert any(cell.cell_type == "code" for cell in cells[asked[0] :])


def test_exercises_have_executed_solutions(chapter):
    """At least three exercises, each with a hidden solution that holds code."""
    text = markdown(chapter.cells)
    exercises = set(re.findall(r"\{exercise(?:-start)?\}.*\n(?::.*\n)*?:label:\s*(\S+)", text))
    assert len(exercises) >= 3
    solved = {}
    inside = None
    for cell in chapter.cells:
        if cell.cell_type == "markdown":
            start = re.search(r"\{solution-start\}\s*(\S+)(.*)", cell.source, re.DOTALL)
            if start:
                inside = start[1]
                solved[inside] = 0
                assert "dropdown" in start[2], f"the solution of {inside} is not hidden"
            if "{solution-end}" in cell.source:
                inside = None
        elif inside:
            solved[inside] += 1
    assert exercises <= set(solved), "exercises without a solution"
    assert all(solved.values()), f"solutions without code: {solved}"


def test_source_says_what_to_read_next(chapter):
    headings = re.findall(r"(?m)^##+ (.+)$", markdown(chapter.cells))
    assert headings and re.search(r"(?i)read next", headings[-1])


def test_cells_fit_on_a_screen(source):
    for cell in source.cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= LONGEST_CELL, (
                f"longer than a screen, so it belongs in splinelib:\n{cell.source}"
            )


def test_what_shows_records_is_in_the_library(source):
    """A page that reads records calls exhibits, which tests reach, and hides next to nothing.

    Claims are tests themselves, and show nothing; the set-up cell is the same everywhere.
    """
    code = [cell for cell in source.cells if cell.cell_type == "code"]
    if not any("records(" in cell.source for cell in code):
        return
    hidden = [
        cell.source
        for cell in code
        if any("hide" in tag or "remove" in tag for tag in cell.metadata.get("tags", []))
        and setup_cell.TAG not in cell.metadata.tags
        and not ("remove-cell" in cell.metadata.tags and "claim(" in cell.source)
    ]
    assert sum(len(text.splitlines()) for text in hidden) < 60


def test_equations_and_prose_leave_no_loose_ends(source):
    text = markdown(source.cells)
    assert not re.search(r"\b(TODO|FIXME|XXX|TBD|lorem ipsum)\b", text)
    assert not re.search(r"!\[\s*\]\(", text), "an image without alt text"
    for cell in source.cells:
        fences = re.findall(r"^`{3,}", cell.source, re.MULTILINE)
        assert cell.cell_type == "code" or len(fences) % 2 == 0, f"{cell.id}: an open fence"


# --- executed copies --------------------------------------------------------------------


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name)
def test_executes(notebook, executed):
    assert executed[notebook].error is None, executed[notebook].error


def test_copy_has_no_injected_cell(copy):
    tags = [tag for cell in copy.cells for tag in cell.metadata.get("tags", [])]
    assert "injected-parameters" not in tags and "parameters" in tags


def test_copy_has_outputs(copy):
    assert any(
        output.output_type in ("display_data", "execute_result") for _, output in outputs(copy)
    )


def test_copy_is_free_of_errors_and_warnings(copy):
    for cell, output in outputs(copy):
        assert output.output_type != "error", output.get("evalue")
        assert output.get("name") != "stderr", f"{output.text}\nfrom:\n{cell.source}"


def test_copy_tells_nothing_about_this_machine(copy):
    for _, output in outputs(copy):
        text = output.get("text", "") + str(output.get("data", ""))
        for private in (str(chapters.ROOT), str(Path.home()) + "/"):
            assert private not in text, f"an output shows the path {private}"


def test_copy_has_no_live_widget(copy):
    for cell, output in outputs(copy):
        assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {}), cell.source
    assert "widgets" not in copy.metadata


READS_RECORDS = re.compile(r"\brecords\(\)|records\.read\(")


@functools.cache
def machines() -> set[str]:
    """What the records of the book were made on, as pages say it."""
    found = [json.loads(file.read_text()) for file in (chapters.ROOT / "data/runs").rglob("*.json")]
    networks = [n for r in found for n in (r, r.get("dense"), *r.get("tickets", []))]
    origins = [n["provenance"] for n in networks if isinstance(n, dict) and "provenance" in n]
    return {sheets.machine(origin["hardware"]) for origin in origins}


def test_page_that_reads_records_says_on_what_machine(copy):
    """Within the first outputs after a record is read, so that it is seen with what was read."""
    cells = [cell for cell in copy.cells if cell.cell_type == "code"]
    reading = [i for i, cell in enumerate(cells) if READS_RECORDS.search(cell.source)]
    if not reading:
        return
    seen = [output for cell in cells[reading[0] :] for output in cell.outputs][:4]
    text = html.unescape(" ".join(str(output.get("data", {})) for output in seen))
    assert any(machine in text for machine in machines()), "no machine under what is read first"


class Pictures(HTMLParser):
    """Collects pictures that say nothing to someone who cannot see them."""

    def __init__(self):
        super().__init__()
        self.mute = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        hidden = given.get("aria-hidden") == "true"
        label = given.get("alt") if tag == "img" else given.get("aria-label")
        if tag in ("img", "svg", "canvas") and not hidden and not (label or "").strip():
            self.mute.append(self.get_starttag_text()[:200])


def test_pictures_have_alt_text(copy):
    for cell, output in outputs(copy):
        data = output.get("data", {})
        if "text/html" in data:
            pictures = Pictures()
            pictures.feed(data["text/html"])
            assert pictures.mute == []
        elif any(kind.startswith("image/") for kind in data):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert alt.strip(), f"the picture of this cell has no alt text:\n{cell.source}"
