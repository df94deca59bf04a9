"""Size, time and memory of a network."""

import torch
from torch import nn

from splinelib import models
from splinelib.cost.footprint import peak_memory
from splinelib.training import forward_flops, measure


def test_peak_memory_by_hand():
    # float32: weights 6 * 50 + 50 * 3, biases 50 + 3, inputs 10 * 6; then 10 * 50 before and
    # 10 * 50 behind the ReLU, which are alive together.
    model = nn.Sequential(nn.Linear(6, 50), nn.ReLU(), nn.Linear(50, 3))
    there = 6 * 50 + 50 * 3 + 50 + 3 + 10 * 6
    assert peak_memory(model, torch.zeros(10, 6)) == 4 * (there + 2 * 10 * 50)
    model[1] = nn.ReLU(inplace=True)
    assert peak_memory(model, torch.zeros(10, 6)) == 4 * (there + 10 * 50 + 10 * 3)


def test_memory_that_is_given_back_counts_no_more():
    model = nn.Sequential(*[nn.Linear(4, 4, bias=False) for _ in range(20)])
    peak = peak_memory(model, torch.zeros(1000, 4))
    assert peak == 4 * (20 * 16 + 3 * 4000)  # input, and two activations at a time


def test_measure_reports_size_and_leaves_threads_alone():
    threads = torch.get_num_threads()
    model = models.vgg16(width=0.25)
    size = measure(model, torch.zeros(2, 3, 32, 32), repeats=3)
    assert size.channels == 1056  # a quarter of 4224
    assert size.parameters == sum(p.numel() for p in model.parameters())
    assert size.macs == forward_flops(model, torch.zeros(1, 3, 32, 32)) // 2
    assert size.latency > 0 and size.batch_size == 2
    assert torch.get_num_threads() == threads
    assert model.training
