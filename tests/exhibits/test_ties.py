"""Channels that go together, as chapter 12 draws them."""

import pytest
import torch
from shown import Elements

import splinelib as sl
from splinelib.exhibits import ties


@pytest.fixture(scope="module")
def layout():
    model = sl.models.preresnet(20, width=0.25)
    return sl.find_groups(model, torch.zeros(1, 3, 8, 8))


def test_a_stream_is_made_and_read_by_several_layers(layout):
    streams = [group.units for group in layout.groups.values() if group.is_stream]
    assert streams == [16, 32, 64]  # one for each stage


def test_the_picture_says_how_many_lines_and_streams_there_are(layout):
    alt = ties.lines(layout).alt
    assert f"each of {len(layout.groups)} groups" in alt and "; 3 of them are" in alt


SCORES = {"a": torch.tensor([1.0, 2, 3, 4]), "b": torch.tensor([0.1, 0.2, 5, 6])}


def test_numbers_are_those_of_the_selection():
    assert ties.numbers(SCORES, 0.25) == ({"a": 4, "b": 4}, {"a": 4, "b": 2})
    assert ties.numbers(SCORES, 0.5) == ({"a": 4, "b": 4}, {"a": 2, "b": 2})


def test_every_ratio_has_its_words(monkeypatch):
    monkeypatch.setenv("SPLINELIB_WIDGETS", "static")
    markup = ties.kept(SCORES, [0.25, 0.5], "Some.")._repr_html_()
    assert "With 25% of all removed, 2 of the 2 that go are of the 4 in b." in markup
    assert "With 50% of all removed, 2 of the 4 that go are of the 4 in a." in markup
    assert [tag for tag, _ in Elements(markup).elements].count("svg") >= 2
