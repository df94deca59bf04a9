"""Make what the playground starts with: its first network, and the still picture of it.

    python -m tools.playground

trains the network and writes ``playground/start.js`` and ``book/_assets/playground.svg``. The
picture stands on the page until the scripts have started, and for good where there are none.
"""

import json
import re

import numpy as np
import torch

import splinelib as sl
from splinelib.plotting.palette import COLOURS
from tools.chapters import ROOT

START = ROOT / "playground" / "start.js"
PICTURE = ROOT / "book" / "_assets" / "playground.svg"
SIDE = 520  # of the picture, in its own pixels
DIGITS = 5  # of a weight


def start_network() -> torch.nn.Sequential:
    """A network with one output, trained on the X; its weights have few digits."""
    data = sl.data.toy("cross", n=600, noise=0.03, seed=0)
    start = sl.models.mlp([2, 16, 16, 2], seed=0)
    model = sl.training.train(
        start, data, epochs=60, batch_size=32, weight_decay=0.0, progress=False
    ).model
    small = sl.models.mlp([2, 16, 16, 1]).double()
    state = {name: value.double() for name, value in model.state_dict().items()}
    for name in ("linear3.weight", "linear3.bias"):
        state[name] = state[name][1:] - state[name][:1]
    small.load_state_dict(
        {k: v.apply_(lambda w: float(f"{w:.{DIGITS}g}")) for k, v in state.items()}
    )
    return small


def read_start() -> torch.nn.Sequential:
    """The network in ``playground/start.js``."""
    text = re.search(r"START = `(.*?)`", START.read_text(), flags=re.DOTALL)[1]
    return sl.models.from_json(text)


def still(model: torch.nn.Module) -> str:
    """The partition of a network as an SVG in the colours of the page."""
    part = sl.partition(model)
    places = np.round((part.vertices * [1, -1] + 1) * SIDE / 2, 1)
    boundary = np.round((part.decision_boundary() * [1, -1] + 1) * SIDE / 2, 1)
    depth = max(len(part.layers) - 1, 1)
    paths = [
        (
            f"depth{round(7 * layer / depth)}",
            1.5 - 0.8 * layer / depth,
            places[part.edges[part.edge_source[:, 0] == layer]],
        )
        for layer in range(len(part.layers))
    ]
    paths += [("surface", 5.0, boundary), ("boundary", 2.6, boundary)]
    drawn = "".join(
        f'<path style="stroke:var(--sl-{colour},{COLOURS[colour][0]})" '
        f'stroke-width="{width:.1f}" d="{_path(lines)}"/>'
        for colour, width, lines in paths
    )
    return (
        f'<svg class="pg-still" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}" '
        f'role="img" aria-label="A square cut into {len(part)} regions by the lines of a network; '
        f'the decision boundary is an X." fill="none" stroke-linecap="round">{drawn}</svg>\n'
    )


def _path(lines: np.ndarray) -> str:
    return "".join(f"M{a:g} {b:g}L{c:g} {d:g}" for a, b, c, d in lines.reshape(-1, 4).tolist())


def main() -> None:
    content = json.loads(sl.models.to_json(start_network()))
    text = json.dumps(content).replace('{"weight"', '\n{"weight"')
    START.write_text(
        "/** The network that the playground starts with, made by tools/playground.py. */\n\n"
        f"export const START = `{text}`;\n"
    )
    PICTURE.write_text(still(read_start()))


if __name__ == "__main__":
    main()
