"""Published tables."""

import pytest

from splinelib.experiments import published
from splinelib.files import checkout


def test_every_published_row_has_a_source():
    tables = [path.stem for path in (checkout() / "data" / "published").glob("*.csv")]
    assert len(tables) >= 6
    for table in tables:
        rows = published(table)
        assert rows, table
        for row in rows:
            assert row["source"] and row["how_read"], (table, row)
            assert None not in row, f"{table}: a row with more cells than columns"
            for column, value in row.items():
                if column.endswith("_percent"):
                    assert 0 < value <= 100, (table, row)


def test_published_tables_are_read_as_numbers():
    rows = published("early_bird_vgg16_cifar100")
    row = next(row for row in rows if row["method"] == "EB Train" and row["ratio"] == 0.5)
    assert (row["accuracy_percent"], row["cost_units"]) == (71.28, 197)
    with pytest.raises(ValueError, match="network_sizes"):
        published("nothing")
