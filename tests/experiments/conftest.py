"""What the tests of this folder share."""

import pytest
from runs import CURVES, CURVES_METHODS, METHODS, TINY

from splinelib import experiments
from splinelib.experiments import oneshot, run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """One whole run on digits: its record and its folder."""
    folder = tmp_path_factory.mktemp("runs")
    return run(TINY, METHODS, (0.25, 0.5), folder=folder, progress=False), folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A recorded run without tickets, and its curves."""
    path = tmp_path_factory.mktemp("runs")
    experiments.run(CURVES, (), folder=path, progress=False)
    oneshot.curves(CURVES.name, CURVES_METHODS, (0.5, 0.8), folder=path, progress=False)
    return path
