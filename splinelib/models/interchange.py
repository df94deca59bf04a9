"""Small networks as JSON, to go to the playground of the book and to come back.

The file holds the layers in order, each with the rows of its weight and its bias; a ReLU stands
between each two::

    {"format": "splinelib network", "version": 1, "activation": "relu",
     "layers": [{"weight": [[0.5, -1.0], [2.0, 0.25]], "bias": [0.0, 0.125]},
                {"weight": [[1.0, -1.0]], "bias": [0.5]}]}
"""

import json
from itertools import pairwise

import torch
from torch import nn

from .perceptron import mlp

FORMAT, VERSION = "splinelib network", 1


def to_json(model: nn.Module) -> str:
    """A multi-layer perceptron as text.

    Parameters
    ----------
    model : torch.nn.Module
        Linear layers with a ReLU between each two in a `torch.nn.Sequential`, as `mlp` makes it;
        layers that do nothing in evaluation mode (flatten, identity, dropout) may stand among them.

    Returns
    -------
    str
        Numbers are written such that they are read back exactly.

    Raises
    ------
    TypeError
        For a network that this format cannot describe.
    ValueError
        For NaN or infinite weights.

    Examples
    --------
    >>> net = mlp([2, 3, 1])
    >>> bool((from_json(to_json(net))[1].weight == net[1].weight).all())
    True
    """
    layers = [
        {
            "weight": layer.weight.detach().double().tolist(),
            "bias": torch.zeros(layer.out_features).tolist()
            if layer.bias is None
            else layer.bias.detach().double().tolist(),
        }
        for layer in linear_layers(model)
    ]
    content = {"format": FORMAT, "version": VERSION, "activation": "relu", "layers": layers}
    try:
        return json.dumps(content, allow_nan=False)
    except ValueError as error:
        raise ValueError("the network holds NaN or infinite weights") from error


def from_json(text: str, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """The network of a text that `to_json` or the playground wrote.

    Parameters
    ----------
    text : str
    dtype : torch.dtype
        Of the weights; float64 holds them as they are written.

    Returns
    -------
    torch.nn.Sequential
        As `mlp` makes it, in evaluation mode.

    Raises
    ------
    ValueError
        If this is no such text.

    Examples
    --------
    >>> layers = [{"weight": [[1, 0]], "bias": [0]}, {"weight": [[2]], "bias": [1]}]
    >>> content = {"format": FORMAT, "version": 1, "activation": "relu", "layers": layers}
    >>> from_json(json.dumps(content))(torch.tensor([[3.0, 5.0]], dtype=torch.float64)).item()
    7.0
    """
    layers = [_read(number, layer) for number, layer in enumerate(_layers_of(text), start=1)]
    for number, ((_, before), (weight, _)) in enumerate(pairwise(layers), start=2):
        if weight.shape[1] != len(before):
            raise ValueError(
                f"layer {number} of the network file reads {weight.shape[1]} values, but the layer "
                f"before it makes {len(before)}"
            )
    widths = [layers[0][0].shape[1], *(len(bias) for _, bias in layers)]
    model = mlp(widths).to(dtype)
    with torch.no_grad():
        for module, (weight, bias) in zip(linear_layers(model), layers, strict=True):
            module.weight.copy_(weight)
            module.bias.copy_(bias)
    return model.eval()


_PASSES = (nn.Flatten, nn.Identity, nn.Dropout)


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    """The linear layers of a perceptron; TypeError if it is none."""
    modules = list(model) if isinstance(model, nn.Sequential) else [model]
    modules = [module for module in modules if not isinstance(module, _PASSES)]
    linear, between = modules[0::2], modules[1::2]
    wrong = [module for module in linear if type(module) is not nn.Linear]
    wrong += [module for module in between if type(module) is not nn.ReLU]
    if wrong or len(linear) != len(between) + 1:
        name = type(wrong[0]).__name__ if wrong else type(model).__name__
        raise TypeError(
            "a network file describes linear layers with a ReLU between each two, in a Sequential; "
            f"it cannot describe this {name}"
        )
    return linear


def _layers_of(text: str) -> list:
    """The list of layers of a network file."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not a network file: it is not JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f'not a network file: its format should be "{FORMAT}"')
    if (content.get("version"), content.get("activation")) != (VERSION, "relu"):
        raise ValueError(
            f'a network file should have version {VERSION} and activation "relu"; this one has '
            f"{content.get('version')!r} and {content.get('activation')!r}"
        )
    if not isinstance(content.get("layers"), list) or not content["layers"]:
        raise ValueError("a network file should have a list of layers, at least one")
    return content["layers"]


def _read(number: int, layer) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (out, in) and bias (out,) of one layer of a file, float64."""
    try:
        weight = torch.tensor(layer["weight"], dtype=torch.float64)
        bias = torch.tensor(layer["bias"], dtype=torch.float64)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"layer {number} of the network file should have a matrix of numbers as its weight and "
            "a list of numbers as its bias"
        ) from error
    if weight.ndim != 2 or not weight.numel() or bias.shape != weight.shape[:1]:
        raise ValueError(
            f"layer {number} of the network file has a weight of shape {tuple(weight.shape)} and a "
            f"bias of shape {tuple(bias.shape)}; they should be (out, in) and (out,)"
        )
    if not (weight.isfinite().all() and bias.isfinite().all()):
        raise ValueError(f"layer {number} of the network file holds NaN or infinite numbers")
    return weight, bias
