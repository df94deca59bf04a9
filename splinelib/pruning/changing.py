"""A change of one layer that can be taken back, and where the constant of a fit goes.

A constant is added to a layer's bias. Where it has none and a batch norm behind it is its alone,
the batch norm takes the constant in its running mean: its shift would do the same in evaluation,
but in training the batch's own mean is taken off, and a changed shift would then be wrong.
"""

from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..calibration.layer_maps import LayerMap
from ..channels.layout import Layout
from ..network.hooks import hooked
from ..network.modes import device_of, evaluating


@torch.no_grad()
def own_norms(model: nn.Module, layout: Layout, example: Tensor | None) -> dict[str, str]:
    """Layer -> the batch norm that is its alone: named once, and run once in a pass.

    Those of which more is done than torch's own forward, or less, are left out: nobody knows what
    becomes of their running mean.

    Parameters
    ----------
    model : torch.nn.Module
    layout : Layout
    example : Tensor, shape (1, ...), or None
        An input, with which the model is run if it is given.
    """
    modules, named = dict(model.named_modules()), Counter(layout.batch_norms.values())
    norms = {
        layer: norm
        for layer, norm in layout.batch_norms.items()
        if named[norm] == 1 and _is_plain(modules[norm])
    }
    if example is None or not norms:
        return norms
    runs: Counter[nn.Module] = Counter()
    counted = [modules[norm] for norm in norms.values()]
    count = dict.fromkeys(counted, lambda norm, *_: runs.update([norm]))
    with hooked(behind=count), evaluating(model):
        model(example.to(device_of(model), copy=True))
    return {layer: norm for layer, norm in norms.items() if runs[modules[norm]] == 1}


def _is_plain(norm: nn.Module) -> bool:
    kind = type(norm)
    return (
        isinstance(norm, _BatchNorm)
        and norm.running_mean is not None
        and kind.forward in {_BatchNorm.forward, nn.SyncBatchNorm.forward}
        and not ("forward" in vars(norm) or norm._forward_hooks or norm._forward_pre_hooks)
    )


class Change:
    """A change of a layer's weight and of what is added to its outputs, until it is taken back.

    Parameters
    ----------
    layer : torch.nn.Module
    found : LayerMap
        Which linear map it is.
    norm : torch.nn.Module, optional
        The batch norm that is its alone.

    Attributes
    ----------
    possible : bool
        Whether its weight can be changed and a constant added.
    added : bool
        Whether the layer got a bias that it did not have.
    behind : bool
        Whether the batch norm takes the constant, so that the layer's own outputs miss it.
    """

    def __init__(self, layer: nn.Module, found: LayerMap | None, norm: nn.Module | None = None):
        self.layer, self.found, self.norm = layer, found, norm
        by_bias = found is not None and found.bias_gain is not None
        self.behind = norm is not None and (layer.bias is None or not by_bias)
        self.possible = found is not None and found.gain is not None and (self.behind or by_bias)
        self.added, self._before = False, None

    def make(self, step: Tensor, constant: Tensor) -> None:
        """Add to the weight that runs, and to the outputs; shapes of the weight, and (out,)."""
        layer, norm = self.layer, self.norm
        mean = norm.running_mean.clone() if self.behind else None
        bias = None if layer.bias is None else layer.bias.clone()
        self._before = layer.weight.clone(), layer.bias, bias, mean
        step = step if self.found.gain == 1 else step / self.found.gain
        layer.weight += step.to(layer.weight.dtype)
        if self.behind:
            norm.running_mean -= constant.to(norm.running_mean.dtype)
            return
        constant = constant / self.found.bias_gain
        if layer.bias is not None:
            layer.bias += constant.to(layer.bias.dtype)
            return
        layer.bias = nn.Parameter(
            constant.to(layer.weight.dtype), requires_grad=layer.weight.requires_grad
        )
        self.added = True

    def keep(self) -> None:
        """Let go of what would be needed to take the change back."""
        self._before = None

    def take_back(self) -> None:
        """Leave everything as it was."""
        weight, bias, value, mean = self._before
        self.layer.weight.copy_(weight)
        self.layer.bias = bias
        if bias is not None:
            bias.copy_(value)
        if self.behind:
            self.norm.running_mean.copy_(mean)
        self.added, self._before = False, None
