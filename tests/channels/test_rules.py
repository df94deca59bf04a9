"""What operations between layers do to units: how many can go, or why they stay."""

import pytest
import torch
import torch.nn.functional as F
from networks import relative_error
from strangers import Lambda, maps, rows
from torch import nn

import splinelib as sl
from splinelib.channels import calls
from splinelib.channels.groups import find_groups
from splinelib.errors import PruningError

WIDTH = 12


def network(between, dims):
    """A layer of 12 units, a function, and layers that read what it gives."""
    torch.manual_seed(0)
    if dims == 2:
        first, inputs, kind = nn.Conv2d(3, WIDTH, 3, padding=1), maps(size=6), nn.Conv2d
    else:
        first, inputs, kind = nn.Linear(8, WIDTH), rows(8), nn.Linear
    with torch.no_grad():
        shape = between(F.relu(first(inputs))).shape
    if dims == 2 and len(shape) == 4:
        rest = [kind(shape[1], 7, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
        rest = [*rest, nn.Flatten(), nn.Linear(7, 3)]
    else:
        rest = [nn.Linear(shape[-1], 7), nn.ReLU(), nn.Linear(7, 3)]
    return nn.Sequential(first, nn.ReLU(), Lambda(between), *rest).eval(), inputs


def half(h):
    return h.shape[1] // 2


ONE = {  # between linear layers: the units that can go
    "in place": (lambda h: h.clone().mul_(2).add_(1).relu_(), 12),
    "where": (lambda h: torch.where(h > 0.1, h, h * 0.1), 12),
    "masked fill": (lambda h: h.masked_fill(h < 0.2, 0.0), 12),
    "hardswish": (F.hardswish, 12),
    "prelu": (lambda h: F.prelu(h, torch.tensor([0.2])), 12),
    "like": (lambda h: h + torch.zeros_like(h) + torch.ones_like(h), 12),
    "type": (lambda h: h.double().float(), 12),
    "stack and sum": (lambda h: torch.stack([h, h * 2], 1).sum(1), 12),
    "cat with itself": (lambda h: torch.cat([h, h.square()], 1), 12),
    "cat with zeros": (lambda h: torch.cat([h, h.new_zeros(len(h), 3)], 1), 12),
    "halves": (lambda h: h[:, : half(h)] + h[:, half(h) :], 6),
    "thirds": (lambda h: sum(h.chunk(3, 1)), 4),
    "unbound pairs": (lambda h: torch.mul(*h.unflatten(1, (2, -1)).unbind(1)), 6),
    "narrowed": (lambda h: h.narrow(1, 0, half(h)) * h.narrow(1, half(h), half(h)), 6),
    "glu": (lambda h: F.glu(h, 1), 6),
    "largest of pairs": (lambda h: h.view(len(h), -1, 2).amax(2), 6),
    "softmax over pairs": (lambda h: h.view(len(h), -1, 2).softmax(2).flatten(1), 6),
    "turned around": (lambda h: h.flip(1), 12),
    "turned around and added": (lambda h: h + h.flip(1), 6),
    "rows picked": (lambda h: h[torch.arange(len(h) - 1, -1, -1)], 12),
    "rows rolled": (lambda h: h.roll(1, 0), 12),
    "mean over rows": (lambda h: h - h.mean(0, keepdim=True), 12),
    "turned twice": (lambda h: h.t().contiguous().t(), 12),
    "expanded": (lambda h: h[:, None].expand(-1, 4, -1).mean(1), 12),
    "a size that follows": (lambda h: h.reshape(len(h), 1, h.shape[1]).squeeze(1), 12),
    "written over": (lambda h: torch.empty_like(h).copy_(h), 12),
    "sum over units": (lambda h: h + h.sum(1, keepdim=True), 12),
    "sum of what is not 0 for a silent unit": (
        lambda h: h + h.cos().sum(1, keepdim=True),
        "does not do what masking",
    ),
    "softmax": (lambda h: h.softmax(1), "'softmax' in '2' (Lambda) mixes"),
    "running sum": (lambda h: h.cumsum(1), "'cumsum' in '2' (Lambda) mixes"),
    "largest": (lambda h: h * (h == h.amax(1, keepdim=True)), "'amax' in '2' (Lambda)"),
    "norm": (lambda h: h / (h.norm(dim=1, keepdim=True) + 0.1), 12),
    "largest norm": (lambda h: h / (1 + h.norm(torch.inf, dim=1, keepdim=True)), 12),
    "smallest norm": (
        lambda h: h / (1 + h.norm(-torch.inf, dim=1, keepdim=True)),
        "'linalg_vector_norm' in '2' (Lambda)",
    ),
    "a constant that is expanded to it": (lambda h: h + torch.ones(1).expand_as(h), 12),
    "a constant that is expanded by number": (
        lambda h: h * torch.full((1,), 2.0).expand(12),
        "does not do what masking",
    ),
    "normalised": (lambda h: F.normalize(h, dim=1), 12),
    "best of units": (lambda h: h + h.topk(1, 1).values, "'topk' in '2' (Lambda) mixes"),
    "fixed parts": (
        lambda h: torch.cat(h.split([5, 7], 1)[::-1], 1),
        "parts of fixed sizes (5, 7)",
    ),
    "a fixed part": (lambda h: h[:, 2:7], "takes channels 2 to 6 of 12, by number"),
    "one unit": (lambda h: h * h[:, 3:4], "it has one channel only"),
    "rolled": (lambda h: h.roll(2, 1), "'roll' in '2' (Lambda) shifts its channels"),
    "constants": (lambda h: h + torch.arange(12.0), "'add' in '2' (Lambda) joins it with a tensor"),
    "written apart": (
        lambda h: h.new_zeros(len(h), 14).index_copy_(1, torch.arange(12), h),
        "'index_copy' in '2' (Lambda) may mix",
    ),
    "a number taken out": (lambda h: h * h.mean().item(), "'mean' in '2' (Lambda) mixes"),
    "distances": (lambda h: h * torch.cdist(h, h).mean(), "may mix its channels"),
    "a matrix of constants": (lambda h: h @ torch.ones(12, 5), "multiplies it by a tensor that no"),
    "triangle": (lambda h: h * (h @ h.t()).mean(), 12),
}
TWO = {  # between convolutions
    "pooled": (lambda h: F.max_pool2d(F.avg_pool2d(h, 2, 1), 2), 12),
    "resampled": (lambda h: F.interpolate(h, scale_factor=2, mode="bilinear"), 12),
    "nearest": (lambda h: F.interpolate(h, scale_factor=2), 12),
    "padded around": (lambda h: F.pad(h, (1, 1, 1, 1)), 12),
    "padded by reflection": (lambda h: F.pad(h, (1, 1, 1, 1), mode="reflect"), 12),
    "padded with channels": (lambda h: F.pad(h, (0, 0, 0, 0, 2, 1)), 12),
    "cropped": (lambda h: h[:, :, 1:-1, ::2], 12),
    "pixels shuffled": (lambda h: F.pixel_shuffle(h, 2), 3),
    "pixels unshuffled": (lambda h: F.pixel_unshuffle(h, 2), 12),
    "channels last": (lambda h: h.permute(0, 2, 3, 1).relu().permute(0, 3, 1, 2), 12),
    "channels shuffled": (lambda h: F.channel_shuffle(h, 3), 4),
    "shuffled by hand": (
        lambda h: h.view(len(h), 2, -1, *h.shape[2:]).transpose(1, 2).flatten(1, 2),
        "does not do what masking",
    ),
    "gated by means": (lambda h: h * h.mean((2, 3), keepdim=True).sigmoid(), 12),
    "gated by places": (lambda h: h * torch.linspace(0, 1, 36).view(6, 6), 12),
    "flattened": (lambda h: h.flatten(1), 12),
    "flattened, turned": (lambda h: h.permute(0, 3, 2, 1).flatten(1), 12),
    "means": (lambda h: h.mean((2, 3)), 12),
    "places as tokens": (lambda h: h.flatten(2).transpose(1, 2).mean(1), 12),
    "grid": (lambda h: F.grid_sample(h, torch.zeros(len(h), 4, 4, 2), align_corners=True), 12),
    "mean of channels": (lambda h: h * h.mean(1, keepdim=True), "'mean' in '2' (Lambda) mixes"),
    "local response": (lambda h: F.local_response_norm(h, 3), "'avg_pool3d' in '2' (Lambda) mixes"),
    "group norm": (lambda h: F.group_norm(h, 3), "'group_norm' in '2' (Lambda) mixes"),
}
CASES = [*((1, *case) for case in ONE.items()), *((2, *case) for case in TWO.items())]


@pytest.mark.parametrize(("dims", "name", "case"), CASES, ids=[name for _, name, _ in CASES])
def test_between_two_layers(dims, name, case):
    between, expected = case
    model, inputs = network(between, dims)
    layout = find_groups(model, inputs)
    if isinstance(expected, str):
        assert expected in layout.fixed["0"]
        return
    assert layout.groups["0"].units == expected, layout.fixed
    masks = {"0": torch.arange(expected) % 3 != 1}
    with torch.no_grad():
        masked, small = (f(model, masks, inputs)(inputs) for f in (sl.apply_masks, sl.shrink))
    assert relative_error(small, masked) < 1e-5
    assert relative_error(masked, model(inputs)) > 1e-3


@pytest.mark.parametrize("between", [lambda h: h.flatten(1), lambda h: h.roll(1, 2).flatten(1)])
def test_an_example_that_is_too_large_to_follow_is_refused(between, monkeypatch):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, WIDTH, 3, padding=1), nn.Linear(WIDTH * 36, 5)

        def forward(self, x):
            h = F.adaptive_avg_pool2d(F.relu(self.conv(x)).roll(1, 2), 6)
            return self.head(between(h))

    model = Net().eval()
    monkeypatch.setattr(calls, "LARGEST", 4 * WIDTH * 64)
    assert find_groups(model, maps(size=6)).units == WIDTH
    with pytest.raises(PruningError, match=r"'roll' in the model's own forward rearranges .* GB;"):
        find_groups(model, maps(size=24))
