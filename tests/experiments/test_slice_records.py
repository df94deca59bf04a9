"""Records of local complexity: what cannot be in them, and how they are put in words."""

import json

import pytest
from recorded import slices_record

from splinelib.errors import DamagedFile
from splinelib.experiments import slice_records


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: r["entries"].append(r["entries"][0]), "is there twice"),
        (lambda r: r["entries"][0].update(kind="<b>"), "names no network or no kind"),
        (lambda r: r["entries"][0]["units"].pop(), "not a number for each of 2 points"),
        (lambda r: r["birds"].append(r["birds"][0]), "early bird of a seed is there twice"),
        (lambda r: r["birds"].pop(), "are not those of the early birds"),
    ],
)
def test_what_cannot_be_is_found(change, told, tmp_path):
    path = slice_records.path_of("digits", tmp_path)
    slice_records.write(path, slices_record(), [])
    record = json.loads(path.read_text())
    del record["digest"]
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFile, match=told):
        slice_records.read(path)


def test_a_summary_says_from_where_to_where():
    record = slices_record(lambda network, epoch, kind: 1 + epoch, seeds=1)
    told = slice_records.summary(record)
    assert "1 seeds" in told and "dense    training  100 to 500 regions" in told
    assert "pruned   noise     300 to 500 regions" in told
