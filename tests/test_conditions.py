"""Nothing that a machine lacks can hide a failure in CI."""

import ast
from pathlib import Path

import conftest
import pytest
import torch

TESTS = Path(__file__).parent
SHORTCUTS = {"skip", "skipif", "xfail", "importorskip"}


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.stem)
def test_only_one_place_decides_what_is_skipped(path):
    """A test that needs something asks `conftest`, which fails in CI; none skips by itself."""
    names = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)]
    kinds = [name.value for name in names if name.attr == "Exception"]  # what this file expects
    assert [n.lineno for n in names if n.attr in SHORTCUTS and n not in kinds] == []


@pytest.mark.parametrize(
    ("ci", "card", "outcome"),
    [
        ("true", True, pytest.fail.Exception),
        ("", True, pytest.skip.Exception),
        ("true", False, pytest.skip.Exception),  # a GPU is not asked of every machine
    ],
)
def test_a_gpu_that_pytorch_cannot_use_fails_in_ci(monkeypatch, ci, card, outcome):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(conftest, "has_gpu", lambda: card)
    with pytest.raises(outcome):
        conftest.need_cuda()


def test_what_makes_the_book_is_one_share_and_each_page_another():
    book = "tests/test_book.py::test_{}"
    shares = {
        "tests/test_notebooks.py::test_executes[03_partition]": "the book",
        "tests/playground/test_in_the_book.py::test_the_page_trains": "the book",
        book.format("internal_links_arrive"): "the book",
        book.format("theme_follows_the_reader[dark]"): "the book",
        book.format("fits_a_phone[splines/03_partition]"): "page splines/03_partition",
        book.format("text_stands_out[dark-splines/03_partition]"): "page splines/03_partition",
        book.format("text_stands_out[splines/03_partition-dark]"): "page splines/03_partition",
        "tests/codes/test_bits.py::test_a[dark]": "tests/codes/test_bits.py",
    }
    assert {nodeid: conftest.share_of(nodeid) for nodeid in shares} == shares


def test_what_is_lacking_fails_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no cheese"):
        conftest.unavailable("There is no cheese.")
