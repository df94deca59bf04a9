"""Rivals without training as the chapter shows them."""

import pytest
from recorded import rivals_record
from shown import rows

from splinelib import experiments
from splinelib.exhibits import others
from splinelib.experiments import rival_records


def study(accuracy=None, **told):
    return others.Study(rivals_record(accuracy, **told))


def test_a_study_has_its_entries_at_hand():
    one = study(lambda way, renewed, ratio: 0.6 if (way, renewed) == ("GRAIL", True) else 0.5)
    assert one.title == "VGG-16 at width 0.25 on digits"
    assert one.seeds == [0, 1, 2] and one.ratios == [0.3, 0.5, 0.7]
    assert len(one.ways) == len(rival_records.THEIRS + rival_records.OURS) + len(
        rival_records.RENEWED
    )
    assert one.values("GRAIL", True, 0.5).tolist() == pytest.approx([0.6, 0.61, 0.62])
    assert one.values("GRAIL", True, 0.9) is None
    assert one.mean("GRAIL", 0.5, True) == pytest.approx(61)
    assert one.best(["GRAIL", "folding"], 0.5) == pytest.approx(61)
    assert one.best(["folding"], 0.5) == pytest.approx(51)


def test_the_table_has_a_row_for_each_way():
    _, dense, *found = rows(others.table(study(normed=False)))
    assert dense[0] == "dense" and dense[-3:] == ["100", "100", "100"]
    assert [row[0] for row in found] == [way for way, _ in study(normed=False).ways]
    by_name = {row[0]: row for row in found}
    assert by_name["GRAIL"][1:] == ["yes", *["51.0 (50.0 to 52.0)"] * 3, "50", "50", "50"]
    assert by_name["folding"][1] == ""


def test_renewed_statistics_see_images():
    found = {row[0]: row[1] for row in rows(others.table(study(seeds=1)))}
    assert found["folding, renewed"] == "yes" and found["folding"] == found["bend merged"] == ""


def test_what_others_printed_is_shown_with_its_source():
    published = experiments.published("rivals")
    _, *found = rows(others.printed(published))
    assert len(found) == len(published)
    assert found[-1][0] == "neuron merging, L1 norm" and found[-1][4].startswith("93.2")
    assert "commit 6946915" in others.printed(published)._repr_html_()
