"""Pruned transformers as the chapter shows them."""

import pytest
from recorded import one_shot, record, vit_record
from shown import rows

from splinelib.exhibits import transformers
from splinelib.exhibits.transformers import Study


def test_a_study_has_its_entries_at_hand():
    study = Study(vit_record(lambda part, order, ratio, c: 0.5 if part == "heads" else 0.7))
    assert study.orders("heads") == ["magnitude", "thinet", "lsq", "random"]
    assert study.ratios("units") == [0.5, 0.75, 0.9]
    assert study.test("heads", "lsq", 0.5).tolist() == [0.5, 0.501, 0.502]
    assert study.lost("heads", "lsq", 0.5) == pytest.approx(40)
    assert study.lead("heads", "lsq", "random", 0.5, "refit").mean == pytest.approx(0)
    assert study.heads.shape == (3, 4, 3)
    assert study.gap("trained").tolist() == [0.8, 0.801, 0.802]


def test_tables_have_a_row_for_each_order_and_for_each_layer():
    study = Study(vit_record(lambda part, order, ratio, c: ratio if c == "refit" else 0.1))
    head, *found = rows(transformers.table(study, "heads"))
    assert head[1:3] == ["25% gone", "25% gone, refit"] and len(found) == 4
    assert found[0][1].startswith("10.1") and found[0][6].startswith("75.1")
    study = Study(vit_record(lost=lambda layer, head: layer * head / 100))
    _, *found = rows(transformers.heads_table(study))
    assert [row[0] for row in found] == ["1", "2", "3"]
    assert found[2][1] == "3" and found[2][3] == "12"


def test_cuts_of_a_run_have_a_row_for_each_method_and_a_column_for_each_share():
    cuts = [("lsq", 0.3, 0.5), ("lsq", 0.5, 0.4), ("random+refit", 0.3, 0.2)]
    made = one_shot(record(), *cuts, ("random+refit", 0.5, 0.1))
    head, *found = rows(transformers.one_shot_table(made))
    assert head[1:] == ["30% gone", "50% gone"]
    assert [row[1:] for row in found] == [["50.0", "40.0"], ["20.0", "10.0"]]


def test_a_slider_goes_through_the_parts():
    shown = transformers.against_ratio(Study(vit_record()))
    assert shown.frames == 3


def told(**change) -> dict[str, bool]:
    """What is claimed of a record like the real one, with other points lost of some kind."""
    points = {"units": 2.0, "units refit": 0.1, "heads": 32.0, "heads refit": 10.0}
    points |= {"stream": 70.0, "stream refit": 3.0} | change.pop("points", {})

    more = {  # of one order than of the others
        **{("heads", "lsq", "nothing"): -3.0, ("heads", "random", "nothing"): 4.0},
        **{("heads", "random", "refit"): 2.0, ("units", "random", "nothing"): 0.1},
        **{("stream", "random", how): 1.5 for how in ("nothing", "refit")},
    }

    def accuracy(part, order, ratio, compensate):
        kind = part if compensate == "nothing" else f"{part} {compensate}"
        return 0.9 - (points[kind] + more.get((part, order, compensate), 0.0)) / 100

    made = vit_record(accuracy, change.pop("lost", lambda layer, head: 0.19 - 0.04 * layer))
    for entry in made["maps"]:
        entry["gap"] = [change.get("gap", 0.85)] * 3
    return dict(transformers.claims(Study(made)))


def test_claims_hold_of_a_record_like_the_real_one():
    assert all(told().values())


@pytest.mark.parametrize(
    "sentence, change",
    [
        ("nine in ten units", {"points": {"units": 4.0}}),
        ("after a refit less than half", {"points": {"units refit": 1.0}}),
        ("half of the heads", {"points": {"heads": 20.0}}),
        ("half of the stream", {"points": {"stream": 30.0}}),
        ("after a refit the heads", {"points": {"heads refit": 20.0}}),
        ("and the stream less", {"points": {"stream refit": 9.0}}),
        ("a layer loses 8 to 16 %", {"lost": lambda layer, head: 0.1}),
        ("no head of any network", {"lost": lambda layer, head: 0.005}),
        ("held maps are off", {"gap": 0.4}),
    ],
)
def test_claims_fail_where_the_record_says_otherwise(sentence, change):
    as_it_is, found = told(), told(**change)
    (name,) = [name for name in found if name.startswith(sentence)]
    assert as_it_is[name] and not found[name]
