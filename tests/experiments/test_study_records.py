"""Records of studies: read as written, and refused where damaged, whatever the study."""

import pytest
from recorded import (
    PROVENANCE,
    orders_record,
    pca_record,
    pitch_record,
    rivals_record,
    routes_record,
    shares_record,
    slices_record,
    starts_record,
    vit_record,
)

from splinelib.__main__ import main
from splinelib.errors import DamagedFile
from splinelib.experiments import (
    order_records,
    pitch_records,
    rival_records,
    route_records,
    share_records,
    slice_records,
    start_records,
    transformer_records,
    truncation_records,
)
from splinelib.experiments.study_records import extend, repeated, uneven

MADE = {
    start_records: starts_record,
    truncation_records: pca_record,
    route_records: routes_record,
    slice_records: slices_record,
    rival_records: rivals_record,
    order_records: orders_record,
    share_records: shares_record,
    pitch_records: pitch_record,
    transformer_records: vit_record,
}


@pytest.fixture(params=MADE, ids=lambda module: module.RECORDS.kind)
def study(request):
    return request.param


@pytest.fixture
def path(study, tmp_path):
    made = MADE[study]()
    path = study.path_of(made["name"], tmp_path)
    study.write(path, made, ["--name", made["name"]])
    return path


def test_a_record_is_read_as_it_was_written(study, path):
    record, made = study.read(path), MADE[study]()
    origin = {"command", "provenance", "digest"}
    assert {part: value for part, value in record.items() if part not in origin} == {
        part: value for part, value in made.items() if part not in origin
    }
    kind = study.RECORDS.kind
    assert record["command"] == f"python -m splinelib {kind} --name {made['name']}"
    assert record["provenance"].keys() == PROVENANCE.keys()
    assert study.record_files(path.parents[1]) == [path] and path.parent.name == kind
    assert study.records(path.parents[1]) == [record]


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda text: text[: len(text) // 2], "not JSON"),
        (lambda text: text.replace('"seconds": ', '"seconds": 1'), "digest"),
        (lambda text: text.replace('"settings": ', '"setting": '), "settings is missing"),
        (lambda text: text.replace('"schema": 1', '"schema": 9'), "schema is 9"),
        (lambda text: text.replace('"name": "', '"name": "x'), "digest"),
    ],
)
def test_damage_is_found(study, path, damage, message, capsys):
    path.write_text(damage(path.read_text()))
    with pytest.raises(DamagedFile, match=message):
        study.read(path)
    assert main(["runs", "--folder", f"{path.parents[1]}"]) == 1
    assert "1 damaged" in capsys.readouterr().out


def test_a_record_of_another_name_is_refused(study, path):
    with pytest.raises(DamagedFile, match=f"named '{path.stem}' inside"):
        study.read(path.rename(path.with_name("other.json")))


def test_a_record_is_opened_with_its_own_settings_only(study, path):
    record = study.read(path)
    assert study.opened(path, path.stem, record["settings"], entries=[]) == record
    with pytest.raises(ValueError, match=f"The record {path.stem} was made with .*--name"):
        study.opened(path, path.stem, record["settings"] | {"seeds": 99}, entries=[])
    new = study.opened(path.with_name("new.json"), "new", {"seeds": 2}, entries=[])
    assert new["entries"] == [] and new["kind"] == study.RECORDS.kind and new["name"] == "new"


def test_a_setting_that_is_not_named_may_be_any(study, path):
    record = study.read(path)
    (name, value), *others = record["settings"].items()
    assert study.opened(path, path.stem, dict(others), entries=[]) == record
    with pytest.raises(ValueError, match=name):
        study.opened(path, path.stem, {name: [value]}, entries=[])


def test_numbers_of_a_network_go_to_what_they_are_about():
    entries = [{"part": "heads", "test": [0.5]}]
    extend(entries, (("part", "heads"),), {"test": 0.25})
    extend(entries, (("part", "units"),), {"test": 0.75})
    assert entries == [
        {"part": "heads", "test": [0.5, 0.25]},
        {"part": "units", "test": [0.75]},
    ]


def test_what_no_record_may_hold_is_told_in_words():
    entries = [{"seed": 0, "way": "a"}, {"seed": 1, "way": "a"}, {"seed": 0, "way": "a"}]
    assert [*repeated(entries, ("seed", "way"))] == ["the entry (0, 'a') is there twice"]
    assert [*repeated(entries, ("way",), "order")] == ["the order ('a',) is there twice"] * 2
    record = {"settings": {"seeds": 3}, "dense": [0.9, 0.8], "maps": [{"gap": [1.0], "when": "s"}]}
    assert [*uneven(record, ("maps",))] == [
        "the settings name another number of seeds than there are networks",
        "one of maps has not a number of gap for each seed",
    ]
    whole = record | {"settings": {"seeds": 2}, "maps": [{"gap": [1.0, 2.0], "when": "s"}]}
    assert not [*uneven(whole, ("maps",))]
