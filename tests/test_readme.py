"""What the README and CONTRIBUTING promise: their code runs, their links lead somewhere."""

import re

import pytest

from splinelib.exhibits.wording import number
from splinelib.scores import CRITERIA
from tools.chapters import ROOT

TEXTS = ["README.md", "CONTRIBUTING.md"]


def python_blocks(name: str) -> list[str]:
    return re.findall(r"(?ms)^```python\n(.*?)^```", (ROOT / name).read_text())


def test_library_works_in_ten_lines_as_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = python_blocks("README.md")
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    names = {}
    exec(block, names)
    assert "regions" in capsys.readouterr().out
    model, small, images = names["model"], names["small"], names["images"]
    assert small(images).shape == model(images).shape
    size = {key: sum(p.numel() for p in names[key].parameters()) for key in ("model", "small")}
    assert size["small"] < size["model"] / 1.5


def test_criterion_is_added_as_shown():
    import torch

    import splinelib as sl

    (block,) = (block for block in python_blocks("CONTRIBUTING.md") if "CRITERIA" in block)
    try:
        exec(block, {})
        net = torch.nn.Sequential(torch.nn.Linear(2, 6), torch.nn.ReLU(), torch.nn.Linear(6, 1))
        scores = sl.score(net, "newest-first", example=torch.zeros(1, 2))
        (mask,) = sl.select(scores, 0.5).values()
        assert mask.tolist() == [True] * 3 + [False] * 3
    finally:
        sl.CRITERIA.pop("newest-first", None)


def test_as_many_criteria_are_promised_as_there_are():
    text = (ROOT / "README.md").read_text()
    assert f"compare {number(len(CRITERIA))} criteria" in text


@pytest.mark.parametrize("name", TEXTS)
def test_local_links_lead_somewhere(name):
    targets = re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text())
    local = [target for target in targets if not target.startswith("http")]
    assert local or name == "CONTRIBUTING.md"
    assert [target for target in local if not (ROOT / target).exists()] == []
