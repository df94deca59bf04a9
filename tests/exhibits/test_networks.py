"""Networks of others, in tables."""

import pytest
from shown import rows as rows_of

from splinelib.exhibits import networks
from splinelib.experiments import published


def row(name, family="classification", why=None, rival=0.5, **changed):
    measured = {"codes": "yes", "seconds": 0.5, "MB": 80, "groups": 12, "units": 2880, "stay": 1}
    measured |= {"error": 4e-7, "refit": 0.2, "left": 0.5} | changed
    origin = {"source": "a command", "how_read": "video" if family == "video" else "measured"}
    if why:
        measured = dict.fromkeys(measured)
    return {"network": name, "family": family, "why": why, "rival": rival, **measured, **origin}


ROWS = [
    row("a"),
    row("b", codes="smooth", seconds=2.5, left=0.6, rival="over 60 s"),
    row("c", left=0.55, refit=float("nan")),
    row("d", error=0.3, left=0.45, rival="TypeError: no"),
    row("e", "video", why="ValueError: no such input (0: it is too small", rival=None),
]


def test_counts_by_family():
    found = networks.counts(ROWS, "classification")
    assert (found.networks, found.followed, found.agree) == (4, 4, 3)
    assert (found.codes, found.smooth, found.slowest, found.rival) == (3, 1, 2.5, 2)
    assert networks.counts(ROWS, "video").followed == 0
    table = rows_of(networks.summary(ROWS))
    assert table[1:] == [
        ["classification", "4", "4", "3", "3", "1", "2.5", "2"],
        ["video", "1", "0", "0", "0", "0", "0.0", "0"],
    ]


def test_tables_say_what_is_missing():
    table = rows_of(networks.table(ROWS, "classification"))
    assert table[1] == ["a", "yes", "0.5", "12", "2,880", "4e-07", "0.20", "50%", "50%"]
    assert table[2][-1] == "slow" and table[4][-1] == "fails" and table[3][6] == "–"
    assert rows_of(networks.table(ROWS, "video"))[1][1] == "no such input"


def test_beside_the_rival():
    assert networks.cuts_less(ROWS) == ["c"]
    figure = networks.beside_rival(ROWS)
    assert "2 networks that both prune, 1 of them on the diagonal" in figure._repr_html_()


def test_odd_networks_do_not_count_beside_the_rival():
    """Of those it may take what must stay."""
    odd = [row | {"family": "odd"} for row in ROWS]
    assert not networks.cuts_less(odd)
    assert "0 networks that both prune" in networks.beside_rival(odd)._repr_html_()


@pytest.mark.parametrize("family", networks.FAMILIES)
def test_what_is_recorded_holds_nothing_that_is_wrong(family):
    rows = [row for row in published("networks") if row["family"] == family]
    assert all(row["why"] or row["error"] < 1e-4 for row in rows)
    assert {row["codes"] for row in rows} <= {"yes", "smooth", "no", None}


def test_rows_say_where_they_are_from():
    table = rows_of(networks.sources(ROWS))
    assert table[1:] == [["4", "a command", "measured"], ["1", "a command", "video"]]
