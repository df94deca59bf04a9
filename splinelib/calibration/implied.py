"""What layers read, as a network's weights and batch norms imply it, without a single input.

The channels that a layer reads are described by their means and covariances over inputs and
positions. They are carried from layer to layer: through a linear map exactly; through a batch norm,
whose own shift and scale say what mean and deviation it gives; through an activation as if what
enters it were jointly Gaussian, for which there are closed forms. The network's inputs are taken to
be uncorrelated and of variance 1. How alike neighbouring positions are is told by how much the
outputs of each layer varied in training (`neighbours`). Taps of a kernel that fall on zero padding
read nothing; how often each does is counted. Where channels get lost, behind a product of two
values, say, a batch norm further on starts anew.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..network.graph import Graph
from ..network.surroundings import undisturbed
from ..network.trace import record
from .implied_moments import Implied
from .implied_rules import LAYERS, fits, passed, read_by, reads_channels, restarted

# What gives the network's inputs another shape: they are uncorrelated as before.
_RESHAPING = {
    *("getitem", "unsqueeze", "squeeze", "view", "reshape", "permute", "transpose", "movedim"),
    *("flatten", "unflatten"),
}
# Of more channels than these no covariances are kept: 128 MB.
_MOST = 4096


@undisturbed("model")
def implied_reads(model: nn.Module, example: Tensor) -> dict[str, Implied]:
    """Moments of what each convolution and linear layer reads, as the network implies them.

    Parameters
    ----------
    model : torch.nn.Module
        Run once, in evaluation mode, to see what calls what; given back as it was.
    example : Tensor, shape (N, ...)
        An input of the shape that the model takes. Its values are not looked at.

    Returns
    -------
    dict of str to Implied
        By name of the layer, on the device of the model. Layers behind an operation that mixes
        channels in another way (attention, a product of two values) are left out, up to the next
        batch norm: what is behind one has the mean and the deviation that it gives.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1))
    >>> net[0].weight.data, net[0].bias.data = torch.tensor([[3.0, 4.0]]), torch.zeros(1)
    >>> read = implied_reads(net, torch.zeros(1, 2))["2"]  # the ReLU of a Gaussian of deviation 5
    >>> round(read.mean.item() * (2 * torch.pi) ** 0.5, 6)
    5.0
    """
    return reads_along(record(model, example, "ignore"), next(model.parameters()).device)


@torch.no_grad()
def reads_along(graph: Graph, device: torch.device) -> dict[str, Implied]:
    """`implied_reads` of a network whose run is recorded already."""
    if len(graph.shapes[0]) < 2:
        return {}
    first, unread = _input(graph.shapes[0], device), {0}
    values = {} if first is None else {0: first}
    reads: dict[str, Implied] = {}
    for node in graph.nodes:
        inputs = [values.get(index) for index in node.inputs]
        result = None
        if inputs and not any(value is None for value in inputs):
            if node.name in LAYERS and reads_channels(graph, node, inputs[0]):
                reads[node.module] = read_by(graph, node, inputs[0])
                inputs = [reads[node.module]]
            result = passed(graph, node, inputs)
        if node.name in _RESHAPING and {*node.inputs} <= unread and len(node.outputs) == 1:
            unread.update(node.outputs)
            if result is None or result.dim != 1:
                result = _input(graph.shapes[node.outputs[0]], device)
        if result is None and node.name == "batch_norm":
            result = restarted(node, device)
        if result is not None and fits(graph.shapes[node.outputs[0]], result):
            values.update(dict.fromkeys(node.outputs, result))
    return reads


def _input(shape: Sequence[int], device: torch.device) -> Implied | None:
    """The network's inputs in a shape (N, C, ...): uncorrelated channels of variance 1."""
    if len(shape) < 2 or (shape[1] > _MOST and len(shape) > 2):
        return None
    # Many values of one row are as well taken for one channel, seen so many times.
    channels, repeat = (shape[1], 1) if shape[1] <= _MOST else (1, shape[1])
    one = torch.eye(channels, dtype=torch.float64, device=device)
    return Implied(torch.zeros_like(one[0]), one, repeat)
