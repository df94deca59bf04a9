"""Records of routed small networks: read as written, and refused where damaged."""

import json

import pytest
from recorded import PROVENANCE, routes_record

from splinelib.__main__ import main
from splinelib.errors import DamagedFile
from splinelib.experiments import route_records


@pytest.fixture
def path(tmp_path):
    made = routes_record()
    path = route_records.path_of(made["name"], tmp_path)
    route_records.write(path, made, ["--name", made["name"]])
    return path


def test_a_record_is_read_as_it_was_written(path):
    record = route_records.read(path)
    assert record["entries"] == routes_record()["entries"]
    assert record["command"] == "python -m splinelib routes --name digits"
    assert route_records.record_files(path.parents[1]) == [path]
    assert record["provenance"].keys() == PROVENANCE.keys()


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda text: text[: len(text) // 2], "not JSON"),
        (lambda text: text.replace('"width": 8', '"width": 9', 1), "digest"),
        (lambda text: text.replace('"macs": ', '"mac": '), "macs is missing"),
        (lambda text: text.replace('"schema": 1', '"schema": 9'), "schema is 9"),
        (lambda text: text.replace('"name": "digits"', '"name": "rigits"'), "digest"),
    ],
)
def test_damage_is_found(path, damage, message, capsys):
    path.write_text(damage(path.read_text()))
    with pytest.raises(DamagedFile, match=message):
        route_records.read(path)
    assert main(["runs", "--folder", f"{path.parents[1]}"]) == 1
    assert "1 damaged" in capsys.readouterr().out


def test_what_cannot_be_is_found(path):
    record = json.loads(path.read_text())
    del record["digest"]
    record["entries"].append(record["entries"][0])
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match="is there twice"):
        route_records.read(path)
    record["entries"].pop()
    before = dict(record["entries"][0])
    for wrong in ("<b>", "$x$"):
        record["entries"][0] = before | {"way": wrong}
        path.write_text(json.dumps(record))
        with pytest.raises(DamagedFile, match="names no way"):
            route_records.read(path)


def test_a_record_of_another_name_is_refused(path):
    with pytest.raises(DamagedFile, match="named 'digits' inside"):
        route_records.read(path.rename(path.with_name("other.json")))


def test_a_summary_gives_each_way_and_width():
    lines = route_records.summary(routes_record()).splitlines()
    assert lines[0].startswith("digits") and "static" in "".join(lines)
    assert any("51.00% at 64 MACs" in line for line in lines)
