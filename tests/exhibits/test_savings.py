"""What shrinking saves, counted and drawn."""

import torch

import splinelib as sl
from splinelib.exhibits.savings import compare


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
