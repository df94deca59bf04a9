"""One run, and the list of all."""

import pytest
from recorded import PROVENANCE, record, ticket
from shown import rows

from splinelib import experiments
from splinelib.exhibits import runs, wording


def test_settings_that_are_not_the_default_say_what_it_is():
    shown = {row[0]: row[1] for row in rows(runs.settings(experiments.Protocol(epochs=8)))}
    assert shown["epochs"] == "8 (default 160)"
    assert shown["lr"] == "0.1"
    assert len(shown) == 1 + len(record()["protocol"])


def test_networks_of_a_record():
    small = ticket(
        "spline@residual+refit", 0.5, 0.88, before=0.4, channels=1050, macs=250_000, pflop=0.6
    )
    made = record(small, accuracy=0.91, parameters=2_500_000, pflop=1.2)
    table = runs.networks(made)
    assert rows(table)[1:] == [
        ["dense", "", "91.00%", "100", "2.50", "1.0", "10.0", "100%"],
        ["refitted 50%", "40.0%", "88.00%", "1,050", "0.00", "0.2", "10.0", "50%"],
    ]
    assert table.caption == (
        "cifar10-vgg16-w0.25-e8-s0: drawn after epoch 4 of 8 (latest epoch allowed)"
    )
    assert "Computed on this page" in runs.networks(made, "page")._repr_html_()


def test_the_list_of_records_says_when_and_where():
    gpu = {**PROVENANCE, "hardware": {**PROVENANCE["hardware"], "gpu": "a GPU"}}
    first = record(ticket("spline", 0.5, seconds=90), seconds=60, settled_epoch=2)
    second = record(provenance=gpu, seed=1)
    table = runs.recorded([first, second], "on CIFAR")
    assert rows(table)[1:] == [
        ["cifar10-vgg16-w0.25-e8-s0", "1", "2", "1 CPU thread", "3", "yes"],
        ["cifar10-vgg16-w0.25-e8-s1", "0", "1", "a GPU", "4", "no"],
    ]
    assert runs.minutes(first) == pytest.approx(2.5)
    assert rows(runs.recorded([], "on CIFAR"))[1][0] == wording.NOTHING
