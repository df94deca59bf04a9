"""Random networks and boxes, and how far a specialised network is found from the dense one.

    .venv/bin/python tests/specialised.py 10000

looks at so many, and counts those that differ by more than the slack that was stated.
"""

import sys
from collections import Counter

import torch
from bounded import ACTIVATIONS, RADII, Residual, convolutional, lively, perceptron
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import splinelib as sl
from splinelib.bounds import found_change


def streams(kind: str, channels: int) -> nn.Sequential:
    """Residual blocks of convolutions; images of 1 x 4 x 4, 2 outputs."""

    def block():
        return nn.Sequential(
            *(nn.Conv2d(channels, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)),
            *(ACTIVATIONS[kind](), nn.Conv2d(3, channels, 3, padding=1)),
        )

    return nn.Sequential(
        *(nn.Conv2d(1, channels, 3, padding=1), ACTIVATIONS[kind]()),
        *(Residual(block()), ACTIVATIONS[kind](), Residual(block()), ACTIVATIONS[kind]()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2)),
    )


@st.composite
def boxed(draw):
    """A network, a box, and whether it runs in float32."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    kind = draw(st.sampled_from(("relu", "relu", "relu", *sorted(ACTIVATIONS))))
    shape = (1, 4, 4)
    made = draw(st.sampled_from(("perceptron", "perceptron", "convolutions", "streams")))
    if made == "perceptron":
        widths = draw(st.lists(st.integers(2, 9), min_size=1, max_size=4))
        model, shape = perceptron(kind, widths, draw(st.booleans())), (3,)
    elif made == "convolutions":
        pool = draw(st.sampled_from(("max", "overlapping", "average", "all")))
        model = convolutional(kind, draw(st.integers(2, 4)), pool)
        if draw(st.booleans()):
            model = nn.Sequential(*model, nn.ReLU(), nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 2))
    else:
        model = streams("relu" if kind in {"maximum", "minimum"} else kind, draw(st.integers(1, 4)))
    model = lively(model, generator)
    if draw(st.booleans()):  # lines that are far away, of units that are on or off in large boxes
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
                module.bias.data.mul_(8)
    if draw(st.booleans()):
        model = model.float()
    radius = draw(st.sampled_from(RADII))
    centre = torch.randn(1, *shape, generator=generator).to(model[0].weight)
    radius = radius * torch.rand(centre.shape, generator=generator).to(centre).round(decimals=1)
    return model, (centre - radius, centre + radius)


@torch.no_grad()
def distance(model: nn.Module, local: sl.pruning.Specialised, box: tuple[Tensor, Tensor]) -> float:
    """The largest difference that is found at random points, at corners and by a search."""
    low, high = box
    share = torch.rand(64, *low.shape[1:], generator=torch.Generator().manual_seed(0)).to(low)
    share[:32] = share[:32].round()
    x = torch.minimum(torch.maximum(low + (high - low) * share, low), high)
    found = found_change(model, local.model, box)
    there = float(torch.maximum(found.high, -found.low).max())
    return max(there, float((local(x) - model(x)).abs().max()))


def outcome(model: nn.Module, box: tuple[Tensor, Tensor]) -> dict[str, int]:
    """What came of one network and box, as counts."""
    try:
        local = sl.specialise(model, box)
    except sl.PruningError:
        return {"nothing to prune": 1}
    gone = sum(layer.removed for layer in local.layers)
    merged = sum(layer.merged for layer in local.layers)
    wrong = not distance(model, local, box) <= local.slack
    return {"looked at": 1, "removed some": gone > 0, "merged some": merged > 0, "wrong": wrong}


def main(count: int) -> None:
    outcomes = Counter()

    @settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(boxed())
    def look(drawn):
        outcomes.update(outcome(*drawn))
        if sum(outcomes[k] for k in ("looked at", "nothing to prune")) % 500 == 0:
            print(dict(outcomes), flush=True)

    look()
    print(dict(outcomes))


if __name__ == "__main__":
    main(int(sys.argv[1]))
