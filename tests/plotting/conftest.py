"""What the tests of this folder share."""

import pytest

import splinelib as sl
from splinelib.plotting import widgets


@pytest.fixture(scope="session")
def part():
    network = sl.models.mlp([2, 6, 6, 1], seed=3)
    return sl.partition(network, domain=((-1, 1), (-1, 1)))


@pytest.fixture
def static(monkeypatch):
    monkeypatch.setenv(widgets.MODE, "static")
