"""What one-shot records say of points lost and seconds, on records made by hand."""

import re

import pytest
from recorded import one_shot, record
from shown import rows

from splinelib.exhibits import cuts

STAGES = ("@layerwise", "@layerwise+refit", "@residual+refit")


def curves(seed=0, criteria=("random", "lsq"), variants=STAGES, more=0.0, **changed):
    made = [
        (name + variant, ratio, 0.8 - ratio / 2 + 0.1 * number + more)
        for number, name in enumerate(criteria)
        for variant in variants
        for ratio in (0.3, 0.5)
    ]
    return one_shot(record(seed=seed), *made, **changed)


def test_what_a_group_is():
    group = [curves(0), curves(1, more=0.02, dense_accuracy=0.8)]
    assert cuts.heading(group) == "cifar10-vgg16-w0.25-e8"
    assert cuts.dense_accuracy(group) == pytest.approx(0.85)
    assert cuts.entries(group)[1] is group[1]["entries"]


def test_a_group_is_complete_with_a_random_order_at_all_stages():
    assert cuts.is_complete([curves()])
    assert not cuts.is_complete([curves(criteria=["lsq"])])
    assert not cuts.is_complete([curves(), curves(1, variants=STAGES[2:])])
    assert not cuts.is_complete([curves()], ratio=0.7)


def test_points_lost_by_hand():
    lost = cuts.points_lost([curves(0), curves(1, more=0.02)])
    assert lost["random"][0.3] == pytest.approx([25, 23])  # 0.9 - 0.65, 0.9 - 0.67
    assert lost["lsq"][0.5] == pytest.approx([25, 23])


def test_the_table_of_points_lost_says_what_is_missing():
    group = [curves(0), curves(1, more=0.02)]
    shown = cuts.lost_table(group, ["lsq", "snip"], ratios=(0.3, 0.7))
    assert rows(shown) == [
        ["", "30%", "70%"],
        ["lsq", "14.00 (13.00 to 15.00)", "not recorded"],
        ["snip", "not recorded", "not recorded"],
    ]
    assert 'href="../reproduce.html#oneshot-cifar10-vgg16-w0.25-e8-s0"' in shown.markup
    assert shown.caption.startswith("cifar10-vgg16-w0.25-e8: points")


def test_criteria_that_all_groups_have():
    few = [curves(criteria=["lsq", "bn"])]
    assert cuts.in_all([[curves()], few], ["bn", "lsq", "random"]) == ["lsq"]


def test_seconds_with_scoring_and_without():
    first, second = curves(0), curves(1)
    taken = {"lsq": iter([9.0, 1.0, 4.0, 3.0, 7.0, 7.0]), "random": iter([1.0] * 6)}
    for entry in first["entries"]:
        entry["seconds"] = next(taken[entry["criterion"]])
    # the longest plain cut, 9 and 2, and the shortest refit, 3 and 2: the least of both records
    assert cuts.seconds([first, second], "lsq") == (2.0, 2.0)
    assert cuts.seconds([first], "lsq") == (9.0, 3.0)
    assert cuts.seconds([first], "snip") is None
    assert cuts.seconds([first, curves(1, variants=STAGES[:1])], "lsq") is None


def test_the_price_leaves_out_what_was_not_cut_both_ways():
    shown = cuts.price([curves()], ["lsq", "snip"])
    assert rows(shown)[1:] == [["lsq", "2.0", "2.0"]]
    with pytest.raises(ValueError, match=r"vgg16.*no criterion"):
        cuts.price([curves()], ["snip"])


def test_the_first_cut_and_those_after_it():
    made = curves(criteria=["lsq"], variants=STAGES[2:])
    assert cuts.is_refitted_only(made) and not cuts.is_refitted_only(curves())
    made["entries"].append(dict(made["entries"][1]))
    for entry, seconds in zip(made["entries"], (32.0, 9.0, 33.0), strict=True):
        entry["seconds"] = seconds
    told = cuts.first_cut(made)
    assert (
        "a processor, threads: 1. The first cut, *lsq* at 30%, scoring included: **32 s**" in told
    )
    assert told.endswith("after it: **9 to 33 s**.")
    with pytest.raises(ValueError, match="no cut after its first"):
        cuts.first_cut(made | {"entries": made["entries"][:1]})


def test_nothing_in_a_record_is_markup():
    made = curves(name="x](javascript:1) <b>*s0", variants=STAGES[2:])
    hardware = {"processor": "CPU <script>alert(1)</script> [a](b) `c` $d$", "threads": 1}
    made["provenance"] = {"hardware": hardware}
    told = cuts.first_cut(made)
    link = "../reproduce.html#oneshot-x%5D%28javascript%3A1%29%20%3Cb%3E%2As0"
    assert told.startswith(rf"[x\]\(javascript:1\) \<b\>\*s0]({link}), ")
    assert not re.search(r"(?<!\\)[<`$]", told)
    assert "<b>" not in cuts.lost_table([made], ["lsq"]).markup
