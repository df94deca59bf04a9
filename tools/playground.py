"""Make what the playground starts with: its first network, and the still picture of it.

    python -m tools.playground

trains the network and writes ``splinelib/playground/start.js`` and
``book/_assets/playground.svg``. The picture stands on the page until the scripts have started, and
for good where there are none.
"""

import json
import re

import torch

import splinelib as sl
from splinelib.plotting.scripts import MODULES
from splinelib.plotting.stills import still
from tools.chapters import ROOT

START = MODULES / "start.js"
PICTURE = ROOT / "book" / "_assets" / "playground.svg"
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
    """The network in ``splinelib/playground/start.js``."""
    text = re.search(r"START = `(.*?)`", START.read_text(), flags=re.DOTALL)[1]
    return sl.models.from_json(text)


def picture(model: torch.nn.Module) -> str:
    """The partition of a network as an SVG in the colours of the page."""
    part = sl.partition(model)
    alt = (
        f"A square cut into {len(part)} regions by the lines of a network; the decision boundary "
        "is an X."
    )
    return still(part, alt, name="pg-still") + "\n"


def main() -> None:
    content = json.loads(sl.models.to_json(start_network()))
    text = json.dumps(content).replace('{"weight"', '\n{"weight"')
    START.write_text(
        "/** The network that the playground starts with, made by tools/playground.py. */\n\n"
        f"export const START = `{text}`;\n"
    )
    PICTURE.write_text(picture(read_start()))


if __name__ == "__main__":
    main()
