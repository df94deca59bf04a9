"""What the report counts is what is there."""

import torch
from torch import nn

import splinelib as sl
from splinelib.footprint import compare, peak_memory


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


def test_a_report_counts_both_networks_and_draws_them():
    torch.manual_seed(0)
    model = sl.models.vgg16(width=0.125, image_size=16).train()
    example = torch.randn(2, 3, 16, 16)
    small = sl.prune(model, 0.5, "l2", example=example)
    report = compare(model, small, example, repeats=2)
    assert report.inputs == 2 and model.training
    assert report.small.parameters == sum(p.numel() for p in small.parameters())
    assert all(0 < share < 1 for name, share in report.shares().items() if name != "latency")
    assert report.small.latency > 0
    shown = report.table()._repr_html_()
    assert f"{report.small.parameters:,}" in shown and "peak memory" in shown
    assert "parameters" in report.figure().alt
