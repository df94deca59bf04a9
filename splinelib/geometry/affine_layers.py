"""Sending values through the affine layers of a network.

The constant goes through the layer as it is, the coefficients through its linear part, and the
sizes of terms through the layer with all numbers replaced by their absolute values.
"""

import numpy as np
import torch

from ..network.graph import Node
from ..network.linear_parts import absolute, without_constants
from .basis import Combination
from .limits import BLOCK
from .state import State


def apply_affine(state: State, node: Node) -> None:
    """Compute the outputs of an affine node, a few coefficients at a time."""
    inputs = {i: state.values[i] for i in dict.fromkeys(node.inputs)}
    functions = next(iter(inputs.values())).functions
    for value in inputs.values():
        functions = np.union1d(functions, value.functions)
    rows = {i: value.over(functions) for i, value in inputs.items()}
    constant = {i: r[:1] for i, r in rows.items()}
    node.run(constant, 1)
    linear = without_constants(node)
    zero = {i: torch.zeros_like(r[:1]) for i, r in rows.items()}
    linear.run(zero, 1)
    out = {
        i: constant[i].new_empty(1 + len(functions), *constant[i].shape[1:]) for i in node.outputs
    }
    largest = max(constant[i][0].numel() for i in (*inputs, *node.outputs))
    step = max(1, BLOCK // largest)
    for start in range(1, 1 + len(functions), step):
        stop = min(start + step, 1 + len(functions))
        some = {i: r[start:stop] for i, r in rows.items()}
        linear.run(some, stop - start)
        for i in node.outputs:
            out[i][start:stop] = some[i]
            if zero[i].any():  # a constant that is not known to be one
                out[i][start:stop] -= zero[i]
    sizes = {i: value.size for i, value in inputs.items()}
    absolute(node).run(sizes, 1)
    for i in node.outputs:
        out[i][0] = constant[i][0]
        state.values[i] = Combination(functions, out[i], sizes[i].abs())
