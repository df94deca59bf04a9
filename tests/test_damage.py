"""A sample of the count in `tests/README.md`: damage is found, or without effect."""

import itertools

import damage
import pytest


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    return damage.kinds(tmp_path_factory.mktemp("files"))


NAMES = (
    "data cache",
    "mapped images",
    "checkpoint",
    "record",
    "codes",
    "pruned network",
    "draw",
    "drawn ticket",
)


@pytest.mark.parametrize(("name", "kind_of_damage"), [*itertools.product(NAMES, damage.DAMAGES)])
def test_damage_is_found_or_without_effect(kinds, name, kind_of_damage):
    assert set(kinds) == set(NAMES)
    found = list(damage.outcomes(kinds[name], kind_of_damage, 4, seed=1))
    assert set(found) <= {"found", "without effect"}, found
    if kind_of_damage == "truncated":
        assert set(found) == {"found"}
