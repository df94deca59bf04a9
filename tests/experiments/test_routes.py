"""Small networks for clusters, and what they are compared with."""

import pytest
import torch
from torch import nn

from splinelib.__main__ import main
from splinelib.experiments import route_records, routes


@pytest.fixture(scope="module")
def parts():
    return routes.Parts(0)


@pytest.fixture(scope="module")
def dense(parts):
    return routes.dense_network(parts, 0, epochs=2, width=32)


def accuracy(model, data):
    with torch.no_grad():
        return float((model(data[0]).argmax(1) == data[1]).double().mean())


def test_parts_hold_every_training_image_once():
    one, two = routes.Parts(0), routes.Parts(1)
    assert len(one.train[0]) == routes.IMAGES and one.train[0].dim() == 2
    assert not torch.equal(one.train[0], two.train[0]) and torch.equal(one.test[0], two.test[0])
    rows = [torch.cat([p.train[0], p.held[0]]).sum(1).sort().values for p in (one, two)]
    torch.testing.assert_close(*rows)


def test_a_routed_network_has_a_ticket_for_each_cluster(parts, dense):
    clusters = (parts.train[1] > 4).long()
    routed = routes.routed(dense, 8, clusters, parts.train, epochs=2)
    assert [expert.linear1.out_features for expert in routed.experts] == [8, 8]
    assert routes.cost(routed, parts.test[0]) == 2 * 64 + 64 * 8 + 2 * 64 + 80
    assert accuracy(routed, parts.test) > 0.5


def test_a_cluster_that_the_router_never_chooses_gets_no_network(parts, dense):
    inputs, labels = parts.train
    twins = inputs[:1].expand(4, -1).clone()
    numbers = torch.tensor([0, 0, 1, 1])
    with pytest.warns(UserWarning, match="without members"):
        routed = routes.routed(dense, 8, numbers, (twins, labels[:4]), epochs=1)
    assert len(routed.experts) == 1


def test_numbers_of_clusters_have_to_fit(parts, dense):
    with pytest.raises(ValueError, match="give one for each"):
        routes.routed(dense, 8, torch.zeros(3, dtype=torch.long), parts.train)


def test_a_static_ticket_costs_no_less(parts, dense):
    found = routes.static(dense, 8, parts, 64 * 10 + 200 + 101, epochs=1)
    assert found.linear1.out_features == 11
    assert found.linear2.out_features == found.linear3.out_features == 11


def test_an_early_exit_meets_its_cost_or_is_none(parts, dense):
    least, most = 32 * 64 + 320, 32 * 64 + 320 + 2 * 32**2 + 320
    wanted = (least + most) / 2
    found = routes.early_exit(dense, parts, wanted, epochs=1)
    assert abs(routes.cost(found, parts.held[0]) / wanted - 1) < 0.02
    assert routes.early_exit(dense, parts, least - 1, epochs=1) is None
    assert routes.cost(routes.made_at(found, 2.0), parts.held[0]) == most


def test_costs_are_those_of_an_input_on_average():
    assert routes.cost(nn.Linear(8, 4), torch.zeros(5, 8)) == 32


def test_a_record_grows_by_seeds(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(routes, "EPOCHS", 1)
    monkeypatch.setattr(routes, "TUNED", 1)
    made = lambda seed, *_: [  # noqa: E731
        {"seed": seed, "way": "static", "width": 8, "test": 0.5}
        | {"macs": 10.0, "batch": 1e-6, "single": 1e-5}
    ]
    monkeypatch.setattr(routes, "entries", made)
    assert main(["routes", "--seeds", "2", "--folder", str(tmp_path)]) == 0
    record = routes.compare(seeds=3, folder=tmp_path, progress=False)
    assert [entry["seed"] for entry in record["entries"]] == [0, 1, 2]
    assert route_records.read(route_records.path_of("digits", tmp_path)) == record
    assert record["command"] == "python -m splinelib routes --seeds 3"
    assert "static" in capsys.readouterr().out
    for wrong in ({"widths": [0]}, {"widths": [500]}, {"clusters": [0]}, {"seeds": 0}):
        with pytest.raises(ValueError, match="should"):
            routes.compare(**wrong, folder=tmp_path)


def test_entries_measure_every_network(monkeypatch, parts, dense):
    monkeypatch.setattr(routes, "networks", lambda *_: iter([("static", 32, dense)]))
    (entry,) = routes.entries(0, [32], [2])
    assert entry["test"] == accuracy(dense, parts.test)
    assert 0 < entry["batch"] < entry["single"] and entry["macs"] == 32 * (64 + 64 + 10)
