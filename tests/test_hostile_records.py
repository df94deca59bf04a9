"""Records are taken from others: what one says of itself stays text, on pages and in terminals.

The cells that show records are those of the book, executed with a record that was made to do harm.
"""

import ast
import json

import IPython.display
import nbformat
import pytest
from IPython.display import Markdown
from markdown_it import MarkdownIt
from recorded import PROVENANCE, one_shot, record, ticket
from shown import Elements

import splinelib as sl
from splinelib import exhibits
from splinelib.__main__ import main
from splinelib.experiments import earnings, oneshot, store
from tools.chapters import ROOT

EVIL = 'x"><img src=x onerror=alert(1)>\x1b]0;mine\x07[l](javascript:1)<b>\n\n# h'
NAME = f"cifar10-vgg16-{EVIL}"
METHODS = ("spline@residual+refit", "bn", "random", "lottery:spline", "masks:bn")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A checkout with records whose every string is hostile."""
    origin = {
        **{"commit": EVIL, "uncommitted_changes": False, "finished": EVIL},
        "hardware": {**PROVENANCE["hardware"], "processor": EVIL, "gpu": EVIL},
        "versions": {EVIL: EVIL, "torch": EVIL},
    }
    drawn = [
        ticket(method, 0.5, provenance=origin, widths={EVIL: [100, 50], "b": [9, 4]})
        for method in METHODS
    ]
    drawn += [ticket("spline", ratio, provenance=origin) for ratio in (0.3, 0.5)]
    run = record(*drawn, name=NAME, network=EVIL, provenance=origin, settled_epoch=2)
    run |= {"command": EVIL}
    run["early_bird"]["reason"] = EVIL
    run["early_bird"]["per_layer"] = [{}, *[{EVIL: 0.1}] * 7]
    cuts = [("lsq@residual+refit", ratio, 0.5) for ratio in (0.1, 0.3, 0.5, 0.7)]
    shot = one_shot(run, *cuts, command=EVIL, provenance=origin)
    runs = tmp_path / "data" / "runs"
    (runs / "oneshot").mkdir(parents=True)
    (runs / f"{NAME}.json").write_text(json.dumps(run))
    (runs / "oneshot" / f"{NAME}.json").write_text(json.dumps(shot))
    monkeypatch.setattr(store, "checkout", lambda: tmp_path)
    return runs


def executed(cells, names):
    """What code cells show, in order, as a page has it."""
    shown = []
    for source in cells:
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            shown += [] if value is None else [value]
        shown += names["displayed"]
        names["displayed"].clear()
    return [
        MarkdownIt("commonmark", {"html": True}).render(one.data)
        if isinstance(one, Markdown)
        else one._repr_html_()
        for one in shown
    ]


# Page -> how its cells begin that show records.
PAGES = {
    "reproduce": [
        *("from IPython.display", "curves =", "exhibits.sheets", "cifar =", "if protocols"),
        *("for record in exhibits", "retraining =", "watched ="),
    ],
    "pruning/10_compare_criteria": ["recorded =", "shared =", "from IPython.display"],
    "pruning/11_cifar": [
        *("import splinelib", "bargains.answer", "exhibits.rivals.bills"),
        *("exhibits.rivals.balance", "protocols =", "exhibits.claims.table", "prices ="),
    ],
    "early_bird/07_early_bird": [
        *("recorded =", "watched =", "twice =", "for pairs in twice"),
    ],
}


@pytest.mark.parametrize("page", PAGES)
def test_what_a_record_says_is_no_markup_on_any_page(page, folder, monkeypatch):
    names = {
        "displayed": [],
        **{"sl": sl, "exhibits": exhibits, "earnings": earnings, "oneshot": oneshot},
        **{"Protocol": sl.experiments.Protocol, "SEES": ["lsq"], "chance": 0.5},
        **{module: getattr(exhibits, module) for module in exhibits.__all__},
    }
    names["display"] = names["displayed"].append
    monkeypatch.setattr(IPython.display, "display", names["display"])
    sources = [
        cell.source
        for cell in nbformat.read(ROOT / "book" / f"{page}.ipynb", as_version=4).cells
        if cell.cell_type == "code"
    ]
    wanted = [
        next(source for source in sources if source.startswith(opening)) for opening in PAGES[page]
    ]
    pages = executed(wanted, names)
    assert any("onerror" in markup for markup in pages)  # it is told, as text
    for markup in pages:
        for tag, attributes in Elements(markup).elements:
            if attributes.get("type") == "application/json":  # numbers for a figure: no script
                continue
            assert tag not in {"script", "h1", "b"} and "onerror" not in attributes
            assert attributes.get("src") != "x"
            if tag == "a":
                address = attributes["href"]
                assert address.startswith(("#", "../", "http"))


def test_a_terminal_is_not_steered_by_a_record(folder, capsys):
    assert main(["runs", "--folder", str(folder)]) == 0
    assert main(["runs", "*", "--folder", str(folder)]) == 0
    (folder / "oneshot" / f"{NAME}.json").write_text('{"schema": "\x1b[2J"')
    (folder / f"other{EVIL}.json").write_text("{")
    assert main(["runs", "--folder", str(folder)]) == 1
    captured = capsys.readouterr()
    for text in captured:
        assert r"\x1b]0;mine\x07" in text
        assert all(line.isprintable() for line in text.split("\n"))
    heads = [line for line in captured.out.split("\n") if line.startswith("cifar10-")]
    assert len(heads) == 3  # of two listings; a name is one line
    assert "# h" not in captured.out.split("\n")


@pytest.mark.parametrize("place", ["", "oneshot"])
def test_a_record_goes_by_the_name_of_its_file(place, folder, capsys):
    read = {"": sl.experiments.records, "oneshot": oneshot.records}[place]
    assert [one["name"] for one in read(folder)] == [NAME]
    (folder / place / f"{NAME}.json").rename(folder / place / "honest.json")
    with pytest.raises(sl.DamagedFile, match=r"honest\.json is named 'cifar10-vgg16-x"):
        read(folder)
    assert main(["runs", "--folder", str(folder)]) == 1
    assert "2 records, 1 damaged" in capsys.readouterr().out


def test_accents_may_be_written_in_two_ways(tmp_path):
    made = record(name="cafe\u0301")
    path = tmp_path / "caf\u00e9.json"
    path.write_text(json.dumps(made))
    assert sl.experiments.read_record(path)["name"] == made["name"]
