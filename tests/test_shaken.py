"""Chapters as `shaken.py` runs them: their weights differ a little, and claims are counted."""

import nbformat
import shaken
import torch

from splinelib.exhibits import claims
from splinelib.training import loop

CODE = """
from pathlib import Path

import torch

import splinelib as sl
from splinelib.exhibits.claims import claim

start = sl.models.mlp([2, 4, 2], seed=0)
data = torch.eye(2).repeat(8, 1), torch.arange(2).repeat(8)
ended = sl.training.train(start, data, epochs=1, progress=False).model
torch.save(ended.state_dict(), f"{len(list(Path().glob('*.pt')))}.pt")
claim("one is one", 1 == 1)
claim("every run ends elsewhere", len(list(Path().glob("*.pt"))) > 1)
"""


def test_claims_are_counted_over_runs_that_start_a_little_apart(tmp_path, capsys):
    chapter = tmp_path / "01_a_chapter.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)]), chapter)
    before = loop.laid_out, claims.claim
    assert shaken.main(3, [chapter]) == 1
    assert (loop.laid_out, claims.claim) == before
    told = capsys.readouterr().out
    assert told.startswith("01_a_chapter.ipynb: 2 claims")
    assert "  1 of 3: every run ends elsewhere" in told and "one is one" not in told
    one, two, three = (torch.load(tmp_path / f"{k}.pt") for k in range(3))
    for key in one:
        assert not torch.equal(one[key], two[key]) and not torch.equal(two[key], three[key])
        torch.testing.assert_close(one[key], two[key], rtol=1e-4, atol=1e-4)


def test_a_chapter_that_stops_is_counted_as_well(tmp_path, capsys):
    chapter = tmp_path / "02_stops.ipynb"
    cells = [nbformat.v4.new_code_cell("raise ValueError('no such digit')")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), chapter)
    assert shaken.main(2, [chapter]) == 1
    assert "2 of 2: the chapter runs (no such digit)" in capsys.readouterr().out
