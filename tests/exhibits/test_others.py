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


def test_records_of_one_network_are_one_study():
    records = [rivals_record(lambda *_: 0.5, seeds=2), rivals_record(lambda *_: 0.7, seeds=1)]
    for record, seed in zip(records, (0, 2), strict=True):
        record["name"] = f"cifar10-vgg16-w0.25-e8-s{seed}"
    for entry in records[1]["entries"]:
        entry["seed"] = 2
    (one,) = others.collected(records)
    assert one.seeds == [0, 1, 2]
    assert one.values("GRAIL", False, 0.5).tolist() == pytest.approx([0.5, 0.51, 0.7])
    assert len(others.collected([*records, rivals_record()])) == 2


def test_records_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"digits-vgg16 has the seeds \[0\] of another record"):
        others.Study(rivals_record(), rivals_record(seeds=1))
    with pytest.raises(ValueError, match="different settings"):
        others.Study(rivals_record(), rivals_record(width=0.5))


def test_the_table_has_a_row_for_each_way():
    _, dense, *found = rows(others.table(study(normed=False)))
    assert dense[0] == "dense" and dense[-1] == "100 · 100 · 100"
    assert [row[0] for row in found] == [way for way, _ in study(normed=False).ways]
    by_name = {row[0]: row for row in found}
    assert by_name["GRAIL"][1:] == ["yes", *["51.0 (50.0 to 52.0)"] * 3, "50 · 50 · 50"]
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


# Accuracy with 30, 50 and 70 % removed, like the real ones: without batch norms, and with.
PLAIN = {
    "magnitude": (0.95, 0.90, 0.80),
    "folding": (0.95, 0.92, 0.85),
    "neuron merging": (0.94, 0.89, 0.82),
    "Intra-Fusion": (0.94, 0.89, 0.79),
    "Intra-Fusion as coded": (0.94, 0.89, 0.81),
    "GRAIL": (0.96, 0.96, 0.951),
    "bend merged": (0.97, 0.95, 0.90),
    "magnitude refitted": (0.965, 0.965, 0.96),
    "lsq refitted": (0.96, 0.96, 0.95),
    "default without data": (0.97, 0.95, 0.90),
    "default with data": (0.96, 0.96, 0.95),
}
NORMED = dict.fromkeys(PLAIN, (0.1, 0.1, 0.1)) | {"neuron merging as coded": (0.1, 0.1, 0.1)}
NORMED |= {"GRAIL": (0.6, 0.3, 0.1), "bend merged": (0.3, 0.28, 0.08)}
NORMED |= dict.fromkeys((way for way in rival_records.THEIRS if way != "GRAIL"), (0.1, 0.05, 0.05))
NORMED |= {"Intra-Fusion as coded": (0.2, 0.05, 0.05), "default without data": (0.3, 0.4, 0.08)}
NORMED |= {
    way: (0.95, 0.9, 0.8) for way in PLAIN if "refitted" in way or way == "default with data"
}

RENEWED = {
    "magnitude": (0.6, 0.3, 0.1),
    "folding": (0.7, 0.35, 0.1),
    "neuron merging": (0.5, 0.2, 0.1),
    "neuron merging as coded": (0.4, 0.2, 0.1),
    "Intra-Fusion": (0.65, 0.3, 0.1),
    "Intra-Fusion as coded": (0.65, 0.3, 0.1),
    "GRAIL": (0.85, 0.6, 0.3),
    "bend merged": (0.83, 0.58, 0.35),
}


RATIOS = (0.3, 0.5, 0.7)


def told(plain=(), normed=(), dearer=2, without=(), residual=True) -> dict[str, bool]:
    """What is claimed of records like the real ones, with other accuracies of some ways.

    ``without`` names ways that are not recorded.
    """

    def accuracy(values, changed):
        def of(way, renewed, ratio):
            if way == "dense":
                return 0.97
            known = dict(changed).get((way, renewed, ratio))
            return values[renewed][way][RATIOS.index(ratio)] if known is None else known

        return of

    mlp = study(accuracy({False: PLAIN}, plain), normed=False)
    made = []
    of_digits = [(("GRAIL", True, 0.5), 0.5)]
    of_digits += [(("default without data", False, r), 0.965) for r in (0.3, 0.5)]
    blind = zip(RATIOS, (0.95, 0.9, 0.5), strict=True)
    of_residual = [(("default without data", False, ratio), right) for ratio, right in blind]
    of_residual += [(("Intra-Fusion", True, 0.3), 0.61), (("GRAIL", True, 0.7), 0.35)]
    for known in (of_digits, [], of_residual):
        changed = [*known, *normed]
        made.append(rivals_record(accuracy({False: NORMED, True: RENEWED}, changed)))
        for entry in made[-1]["entries"]:
            if entry["way"] == "default with data":
                entry["macs"] *= dearer
    for record in made:
        record["entries"] = [e for e in record["entries"] if e["way"] not in without]
    return dict(others.claims(mlp, *map(others.Study, made[: 3 if residual else 2])))


def test_claims_hold_of_records_like_the_real_ones():
    assert all(told().values())


@pytest.mark.parametrize(
    "sentence, network, change",
    [
        ("GRAIL is ahead of our default by", "plain", (("GRAIL", False, 0.7), 0.94)),
        ("GRAIL is ahead of our default by", "plain", (("GRAIL", False, 0.7), 0.957)),
        ("and the L1 order", "plain", (("magnitude refitted", False, 0.7), 0.951)),
        ("renewed, our merge is ahead", "normed", (("folding", True, 0.5), 0.575)),
        ("and GRAIL, which fits", "normed", (("GRAIL", True, 0.3), 0.87)),
        ("and behind it at the hardest", "normed", (("GRAIL", True, 0.7), 0.36)),
        ("and level with it there", "normed", (("GRAIL", True, 0.7), 0.3)),
        ("and on digits from a half on", "normed", (("GRAIL", True, 0.5), 0.56)),
        ("on the perceptron the refit", "plain", (("magnitude refitted", False, 0.3), 0.95)),
        ("on the perceptron the refit", "plain", (("magnitude refitted", False, 0.3), 0.98)),
        ("on the others the refit", "normed", (("magnitude refitted", False, 0.7), 0.33)),
        ("lsq refitted and our default", "normed", (("default with data", False, 0.3), 0.88)),
        ("lsq refitted and our default", "normed", (("lsq refitted", False, 0.5), 0.62)),
        ("without an image our merge is no", "plain", (("folding", False, 0.3), 0.975)),
        ("without an image our merge is no", "plain", (("folding", False, 0.7), 0.895)),
        ("without an image our merge is far", "normed", (("magnitude", False, 0.3), 0.25)),
        ("on digits the default", "normed", (("default without data", False, 0.5), 0.95)),
        ("which is far above GRAIL", "normed", (("GRAIL", True, 0.5), 0.8)),
        ("on CIFAR-100 our merge", "normed", (("bend merged", False, 0.5), 0.17)),
        ("on CIFAR-100 our merge", "normed", (("default without data", False, 0.5), 0.5)),
        ("and no rival that looks", "normed", (("folding", False, 0.5), 0.1)),
        ("without an image the default", "normed", (("default without data", False, 0.5), 0.86)),
        ("and is ahead of all rivals", "normed", (("default without data", False, 0.7), 0.32)),
        ("at the mildest cut renewed", "normed", (("folding", True, 0.3), 0.11)),
        ("at the mildest cut neuron", "normed", (("neuron merging", True, 0.3), 0.65)),
        ("on the perceptron Intra", "plain", (("Intra-Fusion", False, 0.5), 0.9)),
        ("at the mildest cut it keeps", "normed", (("Intra-Fusion", True, 0.3), 0.6)),
        ("and on the residual network about", "normed", (("Intra-Fusion", True, 0.3), 0.65)),
        ("and rows added up", "normed", (("Intra-Fusion as coded", False, 0.3), 0.11)),
        ("on the residual network", "normed", (("magnitude refitted", False, 0.7), 0.31)),
        ("up to a half folding", "normed", (("folding", True, 0.5), 0.29)),
        ("and GRAIL is ahead of it", "normed", (("GRAIL", True, 0.7), 0.11)),
    ],
)
def test_claims_fail_where_a_record_says_otherwise(sentence, network, change):
    found = told(**{network: [change]})
    assert [holds for name, holds in found.items() if name.startswith(sentence)] == [False]


@pytest.mark.parametrize("dearer", [1, 3])
def test_the_claim_of_costs_fails_where_the_default_costs_something_else(dearer):
    assert not told(dearer=dearer)["the default leaves about twice as much to compute"]


def test_of_what_is_not_recorded_nothing_is_claimed():
    whole, fewer = told(), told(without=("Intra-Fusion", "Intra-Fusion as coded"), residual=False)
    assert all(fewer.values())
    assert [name.split(",")[0] for name in whole if name not in fewer] == [
        "and level with it there on the residual network",
        "on the perceptron Intra-Fusion keeps less than just dropping",
        "at the mildest cut it keeps more than just dropping",
        "and on the residual network about as much",
        "and rows added up keep more than averages where nothing is renewed",
        "without an image the default loses less than 3 and than 10 points",
        "and is ahead of all rivals",
        "on the residual network all that we refit is ahead of all rivals",
        "up to a half folding leads those that fit nothing",
        "and GRAIL is ahead of it at every ratio",
    ]
