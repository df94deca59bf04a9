"""Does one smaller network give what the masked one gives?

Where all that will be removed is known, no more needs to be tried than that: what could go wrong
with other units does not matter then.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from ..errors import in_short
from ..network.inputs import Inputs
from ..network.lending import Lender
from ..network.modes import evaluating
from ..network.replica import replica
from .cuts import Cut, cut_for_a_while
from .saying import alike, differs, said_by
from .surgery import as_parameter, silenced_for_a_while


@torch.no_grad()
def is_right(cut: Cut, inputs: Inputs, lend: Lender) -> bool:
    """Whether a smaller network says, layer by layer, what the masked one does.

    Parameters
    ----------
    cut : Cut
        What is made of parameters is noted in it.
    inputs : Inputs
    lend : Lender
        Of the network, in the mode in which it should be tried.

    Returns
    -------
    bool
        False also where only a closer look can tell, as where rounding decides about an order.
    """
    try:
        with cut_for_a_while(cut.kept, lend, cut.made) as small:
            found = said_by(small, inputs)
    except Exception:  # whatever a forward raises at other sizes
        return False
    with silenced_for_a_while(cut.dropped, lend) as masked:
        expected = said_by(masked, inputs)
    return alike(expected, found, {name: sides.get("out") for name, sides in cut.kept.items()})


def is_right_in_double(cut: Cut, inputs: Inputs, model: nn.Module) -> bool:
    """`is_right` in float64, where rounding is too small to look like a fault.

    False also where the network does not run in it.
    """

    def wide(tensor: Tensor) -> Tensor:
        return tensor.double() if tensor.is_floating_point() else tensor

    tensors = (*model.parameters(), *model.buffers())
    try:
        made = {id(tensor): as_parameter(tensor, wide(tensor.detach())) for tensor in tensors}
        double = replica(model, lambda tensor: made.get(id(tensor)))
        return is_right(replace(cut, made={}), inputs.mapped(wide), Lender(double))
    except (RuntimeError, TypeError):  # of a device without float64
        return False


def disagreement(masked: nn.Module, small: nn.Module, example: Tensor) -> str | None:
    """None if both models give the same outputs on the example, else what is wrong."""
    inputs = Inputs((example,))
    with evaluating(masked), evaluating(small):
        expected = said_by(masked, inputs)[""]
        try:
            found = said_by(small, inputs)[""]
        except Exception as error:
            return f"the smaller network fails ({in_short(error)})"
    if len(found) != len(expected):
        return f"it gives {len(found)} outputs instead of {len(expected)}"
    faults = (
        differs(a, b, torch.zeros_like(a), None) for a, b in zip(expected, found, strict=True)
    )
    return next((fault for fault in faults if fault), None)
