"""Names, titles and cells as readers see them."""

import pytest
from recorded import record

from splinelib.exhibits import wording


@pytest.mark.parametrize(
    ("method", "table", "figure"),
    [
        ("spline", "spline", "spline"),
        ("spline@residual+refit", "refitted", "spline + compensation"),
        ("lottery:magnitude", "lottery", "lottery (magnitude)"),
        ("lottery:spline", "lottery: spline", "lottery (spline)"),
        ("random@layerwise", "random even share", "random@layerwise"),
        ("masks:bn", "masks: bn", "masks:bn"),
    ],
)
def test_a_method_has_a_name_in_tables_and_one_in_figures(method, table, figure):
    assert wording.in_tables(method) == table
    assert wording.in_tables(method, 0.3) == f"{table} 30%"
    assert wording.in_figures(method) == figure


def test_a_title_counts_its_seeds():
    one, other = record(), record(seed=2)
    assert wording.title([one]) == "vgg16 at width 0.25 on cifar10, 8 epochs, seed 0"
    assert wording.title([one, other]).endswith("8 epochs, seeds 0, 2")
    assert wording.title([]) == "no record"


def test_cells_say_mean_and_range_and_lead_to_the_first_record():
    cell = wording.of_seeds([1.0, 2.0, 6.0], ["a", "b", "c"])
    assert (cell.value, cell.source) == ("3.0 (1.0–6.0)", "record")
    assert cell.origins == tuple((x, f"../reproduce.html#record-{x}") for x in "abc")
    assert wording.of_seeds([-1.0, 2.0], ["a"], "{:+.1f}").value == "+0.5 (-1.0 to +2.0)"
    assert wording.of_seeds([], []).value is None


def test_links_can_hold_any_name():
    assert wording.link('x"><img src=x>') == "../reproduce.html#record-x%22%3E%3Cimg%20src%3Dx%3E"
    assert wording.link("a", "oneshot") == "../reproduce.html#oneshot-a"


def test_a_table_without_a_row_says_so():
    assert wording.NOTHING in wording.table([], ["", "accuracy"], "A table")._repr_html_()


def test_curves_are_told_by_their_ends_and_seeds_by_their_mean():
    told = wording.first_to_last({"a": [1.0, 9.0, 3.0], "b": [[0.0, 1.0], [1.0, 2.0]]}, "{:.1f}")
    assert told == "a from 1.0 to 3.0, b from 0.5 to 1.5"


def test_small_numbers_are_words_and_others_digits():
    assert [wording.number(count) for count in (0, 10, 12, 13, -1)] == [
        *("zero", "ten", "twelve", "13", "-1")
    ]


def test_an_address_is_quoted():
    assert wording.link('a "b"') == "../reproduce.html#record-a%20%22b%22"
    assert wording.link("a", "oneshot") == "../reproduce.html#oneshot-a"


def test_nothing_in_a_name_is_markup():
    shown = wording.as_text("a*b*\n# <script>`[x](y)` $1$ c-d_e.f")
    assert shown == r"a\*b\* \# \<script\>\`\[x\]\(y\)\` \$1\$ c-d\_e.f"
