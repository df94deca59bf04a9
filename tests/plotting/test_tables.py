"""Tables."""

import xml.etree.ElementTree as ET

import pytest

from splinelib import plotting
from splinelib.plotting import Cell


def test_a_column_of_prose_is_flush_left_from_head_to_foot():
    rows = [
        ["lr", 0.1, "of SGD"],
        ["seed", "3.25% (2.10% to 4.60%)", "of weights, order and crops"],
    ]
    root = ET.fromstring(plotting.table(rows, ["", "value", "what it is"], "Settings").markup)
    for row in root.findall(".//tr"):
        assert [cell.get("class") for cell in row] == [None, None, "sl-prose"]


def test_a_range_goes_below_its_mean_and_reads_the_same():
    texts = ["79.6% (79.5% to 79.8%)", "-0.61 (-0.82 to +0.40)", "3 (1–5)", "0.25 (default 1.0)"]
    cells = [Cell(text, "record", "runs/a.json") for text in texts]
    root = ET.fromstring(plotting.table([["spline", *cells]], list("abcde"), "Ranges").markup)
    found = root.findall(".//td")
    assert [td.findtext("small") for td in found] == [
        *("(79.5% to 79.8%)", "(-0.82 to +0.40)", "(1–5)", None)
    ]
    assert ["".join(td.itertext()) for td in found[:3]] == texts[:3]


def test_one_source_is_said_once_with_its_records_and_several_by_letters():
    read = Cell(1, "record", origins=(("a <b>", "runs/a.json"), ("c", "javascript:1")))
    again = Cell(2, "record", origins=(("a <b>", "runs/a.json"),))
    root = ET.fromstring(plotting.table([["x", read, again]], list("abc"), "One").markup)
    assert root.findall(".//sup") == []
    below = root.find("p")
    assert "".join(below.itertext()) == "Read from recorded runs: a <b>, c"
    assert [a.get("href") for a in below.findall("a")] == ["runs/a.json"]
    rows = [["x", again, Cell(3, "page")]]
    root = ET.fromstring(plotting.table(rows, list("abc"), "Two").markup)
    assert [sup.text for sup in root.findall(".//td/sup")] == ["b", "a"]
    told = "a computed on this page · b read from a recorded run: a <b>"
    assert "".join(root.find("p").itertext()) == told
    root = ET.fromstring(plotting.table([["x", Cell(3, "page")]], list("ab"), "Three").markup)
    assert "".join(root.find("p").itertext()) == "Computed on this page"


def test_table_names_rows_columns_and_sources():
    paper, record = "https://example.org/?a=1&b=2", "runs/a.json"
    rows = [
        ["dense", Cell(93.4, "published", paper), Cell(None)],
        ["spline <50 %>", Cell(93.125, "record", record), Cell(None, note="not published")],
    ]
    columns = ["network", "accuracy", "cost"]
    shown = plotting.table(rows, columns, "Accuracy & cost", format="{:.1f}")
    root = ET.fromstring(shown._repr_html_())
    assert root.findtext(".//caption") == root.findtext("span") == "Accuracy & cost"
    assert [th.text for th in root.findall(".//thead//th[@scope='col']")] == columns
    assert [th.text for th in root.findall(".//tbody//th[@scope='row']")] == [
        "dense",
        "spline <50 %>",
    ]
    assert [a.get("href") for a in root.findall(".//td/a")] == [paper, record]
    assert [a.text for a in root.findall(".//td/a")] == ["93.4", "93.1"]
    assert [i.text for i in root.findall(".//td/i")] == ["not recorded", "not published"]
    notes = "".join(root.find("p").itertext())
    assert "recorded run" in notes and "published" in notes and "this page" not in notes
    assert root.find("div").get("tabindex") == "0", "the scrolling part must be reachable by key"


def test_a_column_without_a_name_has_no_heading():
    """A heading with nothing in it would be read out as one."""
    root = ET.fromstring(plotting.table([["dense", 93]], ["", "accuracy"], "Accuracy").markup)
    head = root.find(".//thead/tr")
    assert [(cell.tag, cell.text) for cell in head] == [("td", None), ("th", "accuracy")]


@pytest.mark.parametrize(
    ("href", "kept"),
    [
        *[(f"{scheme}://x.org/a?b:c", True) for scheme in ("http", "https", "HTTPS")],
        *[(href, True) for href in ("../a.html#b:c", "#a:b", "?a:b", "a/b:c", "//x.org/a")],
        *[(f"{scheme}:alert(1)", False) for scheme in ("javascript", "JavaScript", "vbscript")],
        *[(f"{odd}javascript:alert(1)", False) for odd in ("\x01", " ", "\n\t", "\x00")],
        *[(href, False) for href in ("java\nscript:alert(1)", "javascript\t:alert(1)")],
        *[(href, False) for href in ("data:text/html,<script>", "file:///etc/passwd", "blob:x")],
    ],
)
def test_only_pages_are_linked_to(href, kept):
    cell = Cell("text", "record", href)
    root = ET.fromstring(plotting.table([["row", cell]], ["a", "b"], "A table").markup)
    assert [a.get("href") for a in root.findall(".//td/a")] == ([href] if kept else [])
    assert "".join(root.find(".//td").itertext()).startswith("text")


def test_a_folded_table_opens_at_its_line_and_is_whole_inside():
    shown = plotting.table([["dense", 93.4]], ["network", "accuracy"], "Accuracy <all>")
    root = ET.fromstring(plotting.folded(shown, "VGG-16 <wide>").markup)
    assert root.tag == "details" and root.get("open") is None
    assert root.findtext("summary") == "VGG-16 <wide>"
    assert ET.tostring(root.find("div")) == ET.tostring(ET.fromstring(shown.markup))
    with pytest.raises(ValueError, match="empty"):
        plotting.folded(shown, " ")
