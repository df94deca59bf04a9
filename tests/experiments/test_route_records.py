"""Records of routed small networks: what cannot be in them, and how they are put in words."""

import json

import pytest
from recorded import routes_record

from splinelib.errors import DamagedFile
from splinelib.experiments import route_records


@pytest.fixture
def path(tmp_path):
    made = routes_record()
    path = route_records.path_of(made["name"], tmp_path)
    route_records.write(path, made, ["--name", made["name"]])
    return path


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


def test_a_summary_gives_each_way_and_width():
    lines = route_records.summary(routes_record()).splitlines()
    assert lines[0].startswith("digits") and "static" in "".join(lines)
    assert any("51.00% at 64 MACs" in line for line in lines)
