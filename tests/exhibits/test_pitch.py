"""A pitch estimator that was pruned, as the chapter shows it."""

import pytest
import torch
from recorded import pitch_record
from shown import rows

from splinelib import plotting
from splinelib.exhibits import pitch
from splinelib.experiments import pitch_records
from splinelib.plotting.palette import series_style
from splinelib.pruning import choices


def study(accuracy=None, **told):
    return pitch.Study(pitch_record(accuracy, **told))


def test_a_study_has_its_entries_at_hand():
    one = study(lambda way, ratio: 0.9 if way == "dense" else 0.8 - ratio)
    assert one.size == "tiny" and one.ratios == [0.1, 0.3, 0.5, 0.7]
    assert one.ways == [*pitch_records.WAYS]
    assert one.dense["accuracy"] == 0.9
    assert one.mean("spline", 0.5) == pytest.approx(30)
    assert one.values("random", 0.5).tolist() == pytest.approx([0.3, 0.31, 0.32])
    assert one.values("spline", 0.2) is None
    assert one.left("spline", 0.5, "macs") == 50
    assert one.left("spline", 0.5, "latency") == pytest.approx(75)


def test_the_table_has_a_row_for_each_way():
    _, dense, *found = rows(pitch.table(study(lambda way, ratio: 0.5)))
    assert dense[0] == "dense" and dense[-1] == "100"
    by_name = {row[0]: row for row in found}
    assert len(by_name) == len(pitch_records.WAYS)
    assert by_name["random, just cut"][2] == "51.0 (50.0 to 52.0)"
    assert by_name["lsq refitted (default)"][1] == "yes" and by_name["bend, just cut"][1] == ""
    assert by_name["bend merged (default)"][1] == ""
    assert by_name["lsq, just cut"][-4:] == ["50", "50", "50", "75"]


def test_draws_are_told_of_where_there_are_some():
    for ways, told in ((("spline", "random"), True), (("spline", "lsq"), False)):
        shown = pitch.table(study(ratios=(0.5,), ways=ways))._repr_html_()
        assert ("of draws by lot mean" in shown) is told


def test_what_was_not_recorded_is_left_empty():
    one = study(size="full", ratios=(0.5,), ways=("spline", "random"))
    _, _, spline, random = rows(pitch.table(one))
    assert spline[2] == "50.0" and random[2].startswith("51.0")
    few = pitch_record(ratios=(0.3, 0.5), ways=("spline", "lsq"))
    few["entries"] = [e for e in few["entries"] if (e["way"], e["ratio"]) != ("lsq", 0.5)]
    _, _, _, lsq = rows(pitch.table(pitch.Study(few)))
    assert lsq[3:] == ["–"] * 5 or set(lsq[3:]) == {lsq[3]}


def test_the_figure_tells_what_it_draws():
    shown = pitch.figure(study(lambda way, ratio: 0.9 if way == "dense" else 0.8 - ratio))
    assert "50% removed: random 31 %, lsq refitted (default) 30 %, magnitude 30 %" in shown.alt
    assert "2,048 tones" in shown.caption


def test_the_defaults_are_called_what_they_are():
    """The table says of the two defaults what `prune` does when it is asked for nothing."""
    with_data, without = choices.best_way(torch.zeros(1, 2), None), choices.best_way(None, None)
    assert (with_data.criterion, with_data.compensate) == ("lsq", "refit")
    assert (without.criterion, without.compensate) == ("bend", "merge")


def test_curves_are_of_draws_that_every_ratio_has():
    record = pitch_record(lambda way, ratio: 0.5)
    record["entries"] = [
        e for e in record["entries"] if (e["way"], e["ratio"], e["seed"]) != ("random", 0.7, 2)
    ][::-1]
    curve = pitch.Study(record).curve("random")
    assert curve.tolist() == [pytest.approx([0.5] * 4), pytest.approx([0.51] * 4)]
    assert pitch.figure(pitch.Study(record))


def test_what_a_record_lacks_is_named():
    record = pitch_record()
    for kept in (record["entries"][:1], record["entries"][1:]):
        with pytest.raises(ValueError, match="'tiny' lacks its dense network or all pruned"):
            pitch.Study(record | {"entries": kept})
    some = study(ways=("spline",))
    with pytest.raises(ValueError, match=r"nothing of 'random' at 0.1: .* --ways 'random'"):
        pitch.figure(some)
    with pytest.raises(ValueError, match=r"nothing of 'lsq' at 0.5"):
        some.left("lsq", 0.5, "macs")
    with pytest.raises(ValueError, match=r"has the ratios 0.1, 0.3, 0.5, 0.7, not 0.4"):
        pitch.table(some, 0.4)


def test_no_two_curves_look_alike(monkeypatch):
    drawn = {}
    monkeypatch.setattr(plotting, "accuracy_against", lambda curves, **told: drawn.update(curves))
    pitch.figure(study())
    styles = [series_style(name, at) for at, name in enumerate(drawn)]
    assert len(drawn) == 5
    for part in zip(*styles, strict=True):
        assert len(set(part)) == 5
