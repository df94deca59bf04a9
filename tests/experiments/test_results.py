"""What records say of a trained network."""

import torch
from torch import nn

from splinelib.cost.flops import FlopsLedger
from splinelib.experiments import results


def test_a_result_is_that_of_the_last_epoch():
    history = [{"test_accuracy": 0.5, "seconds": 2.0}, {"test_accuracy": 0.4, "seconds": 3.0}]
    told = results.result(history, {"channels": 3}, FlopsLedger({"dense": 1e15}))
    assert told["test_accuracy"] == 0.4 and told["seconds"] == 5 and told["pflop"] == 1
    assert ("peak_memory" in told) == torch.cuda.is_available()


def test_a_result_of_a_gpu_names_it_and_the_memory_that_it_took(monkeypatch):
    monkeypatch.setattr(results, "device", lambda: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 5)
    history = [{"test_accuracy": 0.5, "seconds": 2.0, "joules": 7.0}]
    told = results.result(history, {}, FlopsLedger({"dense": 1e15}))
    assert told["peak_memory"] == 5 and told["history"][0]["joules"] == 7
    assert told["provenance"]["hardware"]["gpu"] == "a GPU"


def test_widths_are_outputs_before_and_after():
    dense = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    small = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    assert results.widths(dense, small) == {"0": [4, 3], "3": [2, 2]}
