"""Orders of removal by themselves, on networks of digits and of recorded runs."""

import pytest
import torch
from networks import convnet, images
from runs import CURVES

import splinelib as sl
from splinelib.__main__ import main
from splinelib.experiments import order_records, orders, subjects


@pytest.fixture(scope="module")
def made():
    subject = subjects.Subject(convnet(), images(64), lambda _: 0.5, 2)
    return {tuple(key): network for *key, network in orders.networks(subject)}


def test_nothing_is_compensated(made):
    model, data = convnet(), images(64)
    for criterion in order_records.OURS:
        for scope in order_records.SCOPES:
            wanted = sl.prune(model, 0.5, criterion, scope, data=data, compensate=False)
            one, other = made[criterion, scope, 0.5, 0].state_dict(), wanted.state_dict()
            assert all(torch.equal(one[name], other[name]) for name in other)
    assert len(made) == 1 + (len(order_records.CRITERIA) + 2) * 2 * 3


def test_draws_differ(made):
    drawn = [made["random", "layerwise", 0.3, draw] for draw in range(orders.DRAWS)]
    weights = {tuple(torch.cat([p.flatten() for p in n.parameters()]).tolist()) for n in drawn}
    assert len(weights) == orders.DRAWS


def test_a_record_of_digits_and_one_of_a_run(tmp_path, folder, monkeypatch, capsys):
    monkeypatch.setattr(orders, "RATIOS", (0.5,))
    monkeypatch.setitem(subjects.SETTINGS["mlp"], "epochs", 1)
    assert main(["orders", "--seeds", "1", "--folder", f"{tmp_path}"]) == 0
    assert "bend global" in capsys.readouterr().out
    record = order_records.read(order_records.path_of("digits-mlp", tmp_path))
    assert record["command"].endswith("orders --network mlp --seeds 1 --name digits-mlp")
    of_run = orders.compare(run=CURVES.name, folder=folder, progress=False)
    recorded = subjects.recorded_run(CURVES.name, folder)
    assert of_run["entries"][0]["accuracy"] == recorded["dense"]["test_accuracy"]
    assert of_run["settings"]["network"] == CURVES.network
