"""Sheets of records: complete, and never a way into the page."""

import copy

import pytest
from recorded import (
    PROVENANCE,
    one_shot,
    pca_record,
    record,
    rivals_record,
    routes_record,
    shares_record,
    slices_record,
    starts_record,
    ticket,
    vit_record,
)
from shown import Elements, rows

from splinelib import experiments
from splinelib.exhibits import sheets, wording
from splinelib.experiments import store
from splinelib.experiments.studies import STUDIES

EVIL = 'x"><img src=x onerror=alert(1)>'


def test_a_sheet_says_how_a_record_was_made():
    made = record(ticket("spline", 0.5, seconds=240), accuracy=0.875, seconds=60)
    seen = Elements(sheets.of_run(made)._repr_html_())
    ids = [attributes["id"] for _, attributes in seen.elements if "id" in attributes]
    assert ids == ["record-cifar10-vgg16-w0.25-e8-s0"]
    assert wording.link(made["name"]).endswith(f"#{ids[0]}")
    assert made["command"] in seen.text
    # 8 epochs dense, and 4 of the ticket
    assert "dense and 1 ticket, 5 minutes for 12 epochs" in seen.text
    assert "dense 87.50%" in seen.text
    assert "a processor, 1 of 4 cores" in seen.text
    assert "python 3.11.0, torch 2.11.0" in seen.text
    assert "0123456789ab" in seen.text and "0123456789abc" not in seen.text
    assert "2026-01-02" in seen.text


def test_the_sheet_of_one_shot_curves():
    curve = one_shot(record(accuracy=0.8), *[("spline", ratio, 0.5) for ratio in (0.1, 0.3)])
    curve["entries"][0]["seconds"] = 118.0
    seen = Elements(sheets.of_one_shot(curve)._repr_html_())
    assert seen.elements[0] == ("div", {"class": "record", "id": f"oneshot-{curve['name']}"})
    assert "2 networks in 2 minutes" in seen.text and "dense 80.00%" in seen.text


@pytest.mark.parametrize(("kind", "folder"), [("record", ""), ("oneshot", "oneshot/")])
def test_a_record_is_linked_where_it_lies(kind, folder):
    made = record(ticket("spline", 0.5))
    ((tag, attributes),) = Elements(sheets.download(made, kind)).elements
    assert (tag, attributes["download"]) == ("a", f"{made['name']}.json")
    assert attributes["href"] == f"../data/runs/{folder}{made['name']}.json"
    file = experiments.store.checkout() / "data" / "runs" / f"{folder}{made['name']}.json"
    assert file.exists(), "a record of the book that the test happens to be named like"


def test_a_sheet_of_starts_names_its_file_and_what_was_trained():
    made = starts_record(data=["cross"], factors=[2], seeds=3)
    seen = Elements(sheets.of_starts(made).markup)
    assert seen.elements[0] == ("div", {"class": "record", "id": "starts-map"})
    assert "39 small networks in less than a minute" in seen.text
    [link] = [attributes["href"] for tag, attributes in seen.elements if tag == "a"]
    assert link == "../data/runs/starts/map.json"


def test_a_sheet_of_pca_names_its_file_and_what_was_pruned():
    made = pca_record(metrics=["identity"], ends=[(0.5, "nothing")])
    seen = Elements(sheets.of_pca(made).markup)
    assert seen.elements[0] == ("div", {"class": "record", "id": "pca-mlp"})
    # 2 by lot; 6 numbers of leading directions, 5 of the others; 2 rivals
    assert "3 networks in 36 ways each, 2 minutes" in seen.text
    [link] = [attributes["href"] for tag, attributes in seen.elements if tag == "a"]
    assert link == "../data/runs/pca/mlp.json"


def test_a_sheet_of_routes_names_its_file_and_its_seeds():
    seen = Elements(sheets.of_routes(routes_record(seeds=2)).markup)
    assert seen.elements[0] == ("div", {"class": "record", "id": "routes-digits"})
    assert "24 networks of 2 seeds in 1 minute" in seen.text


def test_a_sheet_of_slices_names_its_file_and_its_seeds():
    seen = Elements(sheets.of_slices(slices_record(seeds=2)).markup)
    assert seen.elements[0] == ("div", {"class": "record", "id": "slices-digits"})
    assert "48 times around 2 points, 2 seeds in 1 minute" in seen.text


@pytest.mark.parametrize("kind", ["run", "oneshot"])
def test_what_a_record_says_stays_text(kind):
    """Every string of a record that reaches the page, one after another and all at once."""
    origin = copy.deepcopy(PROVENANCE)
    origin["hardware"] |= {"processor": EVIL}
    origin |= {"versions": {EVIL: EVIL}, "commit": EVIL, "finished": EVIL}
    made = record(ticket("spline", 0.5, provenance=origin), name=EVIL, provenance=origin)
    made["command"] = EVIL
    if kind == "oneshot":
        curve = one_shot(made, ("spline", 0.5, 0.4), command=EVIL, provenance=origin)
        seen = Elements(sheets.of_one_shot(curve)._repr_html_())
    else:
        seen = Elements(sheets.of_run(made)._repr_html_())
    tags = [tag for tag, _ in seen.elements]
    assert set(tags) == {"div", "p", "strong", "a", "pre", "dl", "dt", "dd"}
    assert not any(name.startswith("on") for _, given in seen.elements for name in given)
    attributes = dict(seen.elements)
    assert attributes["div"]["id"] == f"{'record' if kind == 'run' else kind}-{EVIL}"
    assert attributes["a"]["download"] == f"{EVIL}.json"
    assert seen.text.count(EVIL) >= 6  # name, file, command, processor, both halves of a version


def test_a_gpu_with_a_name_that_is_markup_stays_text():
    origin = {**PROVENANCE, "hardware": {**PROVENANCE["hardware"], "gpu": EVIL, "processes": 2}}
    seen = Elements(sheets.of_run(record(provenance=origin))._repr_html_())
    assert f"2 processes, each on {EVIL}" in seen.text
    assert "img" not in [tag for tag, _ in seen.elements]


def test_machines_and_commits_are_named_once():
    later = {**PROVENANCE, "commit": None, "finished": "2026-02-03T00:00:00Z"}
    told = sheets.origin([PROVENANCE, PROVENANCE, later])
    assert told["machine"] == "a processor, 1 of 4 cores"
    assert told["commit"] == "0123456789ab; unknown"
    assert told["finished"] == "2026-02-03"


def test_machines_of_records_are_one_line_for_records_of_all_kinds():
    gpu = {**PROVENANCE, "hardware": {**PROVENANCE["hardware"], "gpu": "a GPU"}}
    later = {**PROVENANCE, "versions": {**PROVENANCE["versions"], "torch": "2.12.0+cpu"}}
    run = record(ticket("spline", 0.5), ticket("random", 0.5, provenance=later), provenance=gpu)
    line = sheets.made_on([run, pca_record(metrics=["identity"], ends=[(0.5, "nothing")])])
    told = Elements(line.markup).text
    assert told.endswith(
        "Recorded on a GPU; a processor, 1 of 4 cores, no GPU; PyTorch 2.11.0 and 2.12.0."
    )
    assert '<p class="sl-sources">' in line.markup


def test_the_machine_of_no_record_is_not_made_up():
    with pytest.raises(ValueError, match="no record"):
        sheets.made_on([])


def test_a_machine_with_a_name_that_is_markup_stays_text():
    origin = {**PROVENANCE, "hardware": {**PROVENANCE["hardware"], "processor": EVIL}}
    line = Elements(sheets.made_on([record(provenance=origin)]).markup)
    assert EVIL in line.text and {tag for tag, _ in line.elements} == {"div", "style", "p"}


def test_other_tables_name_their_sources():
    shown = {row[0]: row[1:] for row in rows(sheets.other_tables())}
    assert "Early-Bird Tickets" in shown["early_bird_vgg16_cifar100.csv"][1]
    assert int(shown["early_bird_vgg16_cifar100.csv"][0]) == 18


def test_nothing_is_said_in_words():
    assert sheets.nothing()._repr_html_() == "<p>Nothing has been recorded yet.</p>"


def test_a_sheet_of_transformers_names_its_file_and_how_many_ways():
    record = vit_record()
    seen = Elements(sheets.of_vit(record).markup)
    assert seen.elements[0] == ("div", {"class": "record", "id": "vit-digits"})
    assert f"3 transformers in {len(record['entries'])} ways each, 15 minutes" in (
        sheets.of_vit(record).markup
    )


def test_a_sheet_of_rivals_names_its_file_and_its_networks():
    made = rivals_record(seeds=2)
    seen = Elements(sheets.of_rivals(made).markup)
    assert seen.elements[0] == ("div", {"class": "record", "id": "rivals-digits-vgg16"})
    pruned = len(made["entries"]) - 2
    assert f"{pruned} pruned networks of 2 dense in 1 minute" in seen.text


def test_a_sheet_of_shares_names_its_file_and_its_groups():
    seen = Elements(sheets.of_shares(shares_record(seeds=2)).markup)
    assert seen.elements[0] == ("div", {"class": "record", "id": "shares-run"})
    assert "8 groups of units of 2 dense networks, each cut alone, in 1 minute" in seen.text


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_every_study_has_its_sheets(study):
    names = [made["name"] for made in study.records.records()]
    assert [sheet.name for sheet in sheets.studied(study.name)] == (names or ["nothing"])


def test_a_study_without_records_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "checkout", lambda: tmp_path)
    assert [type(sheet) for sheet in sheets.studied("vit")] == [type(sheets.nothing())]
