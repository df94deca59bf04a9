"""Orders of removal by themselves, on networks of digits and of recorded runs."""

import pytest
import torch
from networks import convnet, images
from runs import CURVES

import splinelib as sl
from splinelib.__main__ import main
from splinelib.experiments import order_records, orders, subjects
from splinelib.rivals import renewed_statistics


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
    assert not any(entry["renewed"] for entry in record["entries"])  # there is no batch norm
    monkeypatch.setattr(orders, "JUDGED", 40)
    of_run = orders.compare(run=CURVES.name, folder=folder, progress=False)
    one = subjects.recorded(CURVES.name, folder, None, 40)
    assert of_run["entries"][0]["accuracy"] == one.judge(one.model)
    assert of_run["settings"]["network"] == CURVES.network
    assert of_run["settings"]["judged_on"] == "40 test images"


def test_statistics_are_renewed_where_there_are_batch_norms(monkeypatch):
    monkeypatch.setattr(orders, "RATIOS", (0.5,))
    told = lambda network: float(network[1].running_mean.double().sum().abs())  # noqa: E731
    subject = subjects.Subject(convnet(), images(64), told, 0)
    found = {
        (e["criterion"], e["scope"], e["renewed"]): e["accuracy"]
        for e in orders.entries(subject)
        if not e["draw"]
    }
    assert len(found) == 1 + 2 * len(order_records.CRITERIA) * len(order_records.SCOPES)
    small = sl.prune(subject.model, 0.5, "bend", "layerwise", data=subject.data, compensate=False)
    assert found["bend", "layerwise", False] == told(small)
    assert found["bend", "layerwise", True] == told(renewed_statistics(small, subject.data))
