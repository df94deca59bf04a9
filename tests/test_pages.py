"""Numbers of chapters, and what the front page lists: each from the one place that says it."""

import re

import nbformat
import pytest

from tools import chapters, pages

CHAPTERS = [n for n in chapters.notebooks() if pages.number(n) is not None]
PATH = re.compile(r"\]\(([\w/]+)\.ipynb#([\w-]+)\)")


def notebook(*texts: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(t) for t in texts])


def test_a_number_stands_before_the_title_and_nowhere_else():
    copy = notebook("(label)=\n# Prune on CIFAR\n\ntext", "# Not a title")
    pages.complete(copy, "book/pruning/11_cifar.ipynb")
    assert copy.cells[0].source == "(label)=\n# 11. Prune on CIFAR\n\ntext"
    assert copy.cells[1].source == "# Not a title"
    unnumbered = notebook("# Reproduce")
    pages.complete(unnumbered, "book/reproduce.ipynb")
    assert unnumbered.cells[0].source == "# Reproduce"


def test_on_the_page_of_records_their_links_stay_on_it():
    def linking() -> nbformat.NotebookNode:
        data = {"text/html": '<a href="../reproduce.html#record-a">a</a>'}
        output = nbformat.v4.new_output("display_data", data)
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])

    for page, href in (("book/reproduce", "#record-a"), ("book/a/b", "../reproduce.html#record-a")):
        copy = linking()
        pages.complete(copy, page)
        assert f'href="{href}"' in copy.cells[0].outputs[0].data["text/html"]


def test_folded_code_is_one_line_up_to_what_it_shows():
    def code(source: str, tag: str = "hide-input", shows: bool = False) -> nbformat.NotebookNode:
        outputs = [nbformat.v4.new_output("display_data", {"text/plain": "x"})] * shows
        return nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": [tag]})

    copy = notebook("# Title")
    copy.cells += [code("a"), code("b"), code("c", shows=True), code("d", "remove-cell")]
    copy.cells += [code("e"), *notebook("between").cells, code("f"), code("g", "seen")]
    pages.fold_once(copy)
    sources = ["# Title", "a\n\n\nb\n\n\nc", "d", "e", "between", "f", "g"]
    assert [cell.source for cell in copy.cells] == sources
    assert len(copy.cells[1].outputs) == 1


def test_no_title_has_a_typed_number():
    for path in CHAPTERS:
        text = "\n".join(
            c.source for c in nbformat.read(path, 4).cells if "markdown" in c.cell_type
        )
        assert not re.search(r"(?m)^# \d", text), path


def test_readme_and_contents_have_the_same_chapters_in_the_same_order():
    listed = [page for page in pages.lines() if chapters.page_source(page)]
    assert listed == [str(n.relative_to(chapters.ROOT).with_suffix("")) for n in CHAPTERS]
    numbers = [pages.number(page) for page in listed]
    assert numbers == sorted(numbers)


def test_the_front_page_lists_every_chapter_with_its_line_and_minutes():
    copy = notebook("<!-- fill: chapters -->\n\n<!-- fill: citation -->")
    pages.complete(copy, "book/index.ipynb")
    text = copy.cells[0].source
    for _, numbered in pages.parts():
        for chapter in numbered:
            assert f"{chapter.number}. {chapter.title} <" in text
            assert f"({chapter.minutes} min): {chapter.line}" in text
    assert text.count(" min): ") == len(CHAPTERS)
    assert "@software" in text and "version = {0.1.0}" in text and "fill:" not in text


def test_a_chapter_without_a_line_or_a_duration_is_named(monkeypatch):
    monkeypatch.setattr(pages, "lines", dict)
    with pytest.raises(chapters.ChapterError, match="has no line for book/splines/01"):
        pages.parts()


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_takes_about_as_long_as_it_says(path):
    cells = nbformat.read(path, 4).cells
    (said,) = [int(n) for c in cells for n in re.findall(r"(\d+) minutes to read", c.source)]
    measured = pages.minutes_of_reading(cells)
    assert said == pytest.approx(measured, rel=0.35), "say how long it takes to read now"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("word " * 200, 60),
        ("one-two {term}`three` [four](../five/six.ipynb#seven) {eq}`eight <nine>`", 4 * 0.3),
        ("$$ a + b = c $$ (name)\n", 20),
        ("if $a$ and $b$", 2 * 3 + 2 * 0.3),
        ("```{exercise-start}\n:label: ex-01-count\n```\nCount.\n```{exercise-end}\n```", 0.3),
    ],
)
def test_words_equations_and_formulas_take_their_time(text, seconds):
    assert 60 * pages.minutes_of_reading(notebook(text).cells) == pytest.approx(seconds)


def test_what_the_page_folds_away_or_does_not_show_takes_no_time():
    made = notebook(
        "One.", "```{solution-start} ex-a\n```\nTwo three.", "```{solution-end}\n```\nSix."
    )
    made.cells[1:1] = [
        nbformat.v4.new_code_cell("1", metadata={"tags": tags}) for tags in ([], ["remove-cell"])
    ]
    made.cells.insert(4, nbformat.v4.new_code_cell("2"))
    assert 60 * pages.minutes_of_reading(made.cells) == pytest.approx(30 + 2 * 0.3)


def test_three_chapters_take_twenty_minutes():
    (front,) = [n for n in chapters.notebooks() if n.name == "index.ipynb"]
    (text,) = [c.source for c in nbformat.read(front, 4).cells if "twenty minutes" in c.source]
    path = PATH.findall(text.split("## All chapters")[0])
    assert len({page for page, _ in path}) == 3
    minutes = [
        pages.minutes_of_reading(pages.section(f"book/{page}", anchor)) for page, anchor in path
    ]
    assert 10 < sum(minutes) <= 20, minutes


def test_a_section_ends_where_the_next_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(chapters, "ROOT", tmp_path)
    (tmp_path / "book").mkdir()
    made = notebook("# Title\n\n## What it costs, here\n\n" + "word " * 398 + "\n\n## Next\n\nno")
    made.cells.insert(1, nbformat.v4.new_code_cell("1"))
    nbformat.write(made, tmp_path / "book" / "one.ipynb")
    found = pages.section("book/one", "what-it-costs-here")
    assert len(found) == 1
    assert pages.minutes_of_reading(found) == pytest.approx(402 / 200)
    with pytest.raises(chapters.ChapterError, match="no section #elsewhere"):
        pages.section("book/one", "elsewhere")
