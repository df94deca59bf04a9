"""What the tests of this folder share."""

import pytest

from splinelib import data


@pytest.fixture(scope="session")
def digits():
    return data.load("digits")
