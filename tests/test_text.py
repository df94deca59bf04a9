"""Numbers and settings in words."""

import pytest

from splinelib.text import aligned, check_choice, differences, over_seeds


def test_a_mean_has_its_range_behind_it_unless_there_is_none():
    assert over_seeds([1, 2, 6], "{:.0f}") == "3 (1 to 6)"
    assert over_seeds([0.501, 0.499], "{:.0%}") == "50%"
    with pytest.raises(ValueError, match="no values"):
        over_seeds([])


def test_settings_that_differ_are_named_with_both_values():
    assert differences({"lr": 0.1, "seed": 0}, {"lr": 0.1, "seed": 0}) == ""
    assert differences({"lr": 0.1}, {"lr": 0.2, "seed": 1}) == "lr 0.1 (now 0.2), seed None (now 1)"


def test_columns_line_up():
    assert aligned([("", "one"), ("name", "2")]) == ["        one", "  name    2"]


def test_a_choice_that_is_none_is_answered_with_those_there_are():
    check_choice("scope", "b", ["a", "b"])
    with pytest.raises(ValueError, match=r"There is no scope 'c'. Known: 'a', 'b'\."):
        check_choice("scope", "c", iter(["a", "b"]))
