"""Curves in words, addresses, and text that Markdown leaves alone."""

from splinelib.exhibits import phrases


def test_curves_are_told_by_their_ends_and_seeds_by_their_mean():
    told = phrases.first_to_last({"a": [1.0, 9.0, 3.0], "b": [[0.0, 1.0], [1.0, 2.0]]}, "{:.1f}")
    assert told == "a from 1.0 to 3.0, b from 0.5 to 1.5"


def test_small_numbers_are_words_and_others_digits():
    assert [phrases.number(count) for count in (0, 10, 12, 13, -1)] == [
        *("zero", "ten", "twelve", "13", "-1")
    ]


def test_an_address_is_quoted():
    assert phrases.sheet('a "b"') == "../reproduce.html#record-a%20%22b%22"
    assert phrases.sheet("a", "oneshot") == "../reproduce.html#oneshot-a"


def test_nothing_in_a_name_is_markup():
    shown = phrases.as_text("a*b*\n# <script>`[x](y)` $1$ c-d_e.f")
    assert shown == r"a\*b\* \# \<script\>\`\[x\]\(y\)\` \$1\$ c-d\_e.f"
