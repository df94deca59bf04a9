"""Values are compared with types and ranges."""

import pytest

from splinelib.schemas import AMOUNT, COUNT, NUMBER, SHARE, mismatches

SCHEMA = {"n": COUNT, "share": (SHARE, None), "rows?": [[AMOUNT]], "by name?": {str: NUMBER}}


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ({"n": 3, "share": 0.5}, []),
        ({"n": 0, "share": None, "rows": [[1], []], "by name": {"a": -1.5}}, []),
        ({"n": -1, "share": 2}, ["x.n is -1", "x.share is 2"]),
        ({"n": 2.5, "share": float("nan")}, ["x.n is 2.5", "x.share is nan"]),
        ({"n": True, "share": False}, ["x.n is True", "x.share is False"]),
        ({"n": 10**30, "share": "half"}, [f"x.n is {10**30}", "x.share is 'half'"]),
        ({"share": 1}, ["x.n is missing"]),
        ({"n": 1, "share": 1, "rows": [[1, -2]]}, ["x.rows[0][1] is -2"]),
        ({"n": 1, "share": 1, "rows": {}}, ["x.rows should be a list"]),
        ({"n": 1, "share": 1, "by name": []}, ["x.by name should be an object"]),
        ({"n": 1, "share": 1, "by name": {"a": float("inf")}}, ["x.by name.a is inf"]),
        ({"n": 1, "share": 1, "by name": {"a": 10**400}}, None),
        ([], ["x should be an object"]),
    ],
)
def test_what_does_not_fit_is_named(value, wrong):
    found = list(mismatches(value, SCHEMA, "x"))
    assert found == wrong if wrong is not None else len(found) == 1


def test_a_text_that_cannot_be_printed_is_none():
    assert list(mismatches(["é", "\ud800"], [str], "x")) == [r"x[1] is '\ud800'"]


def test_a_long_value_is_cut_in_the_message():
    assert len(next(mismatches("a" * 10_000, COUNT, "x"))) < 100
