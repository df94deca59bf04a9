"""A network that is smaller, and the same as another one all over a box of inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..bounds.box import Box
from ..bounds.pair import FIRST
from ..bounds.rounding import rounding
from ..bounds.state import State
from ..bounds.units import UNITS, bounded
from ..channels.axes import side
from ..channels.cuts import cut_copy, kept_channels
from ..channels.groups import find_groups
from ..channels.layout import Layout
from ..channels.saving import remembered
from ..channels.surgery import dropped_channels
from ..network.modes import check_weights, device_of
from ..network.surroundings import undisturbed
from .decided import LinearPair, Pieces, layer_pieces, linear_pairs, silent_units
from .passing import Map, Passing


@dataclass(frozen=True)
class SpecialisedLayer:
    """What is proven of the units of one layer in a box, and what became of them.

    A unit of a convolution is a channel, which is decided if it is so at all of its positions.

    Attributes
    ----------
    name : str
        Of the layer, as `spline_layers` has it.
    units : int
    off : int
        Constant all over the box: for ReLU, never on.
    on : int
        Affine all over the box, and not constant.
    removed : int
        Units that went because they are constant, or because nobody reads them any more.
    merged : int
        How many fewer units do for the affine ones. Layers whose channels are added together, as
        in a residual network, lose them together or not at all.
    """

    name: str
    units: int
    off: int
    on: int
    removed: int
    merged: int

    @property
    def undecided(self) -> int:
        """Units of which neither is proven."""
        return self.units - self.off - self.on

    @property
    def left(self) -> int:
        """Units that the smaller network has."""
        return self.units - self.removed - self.merged


@dataclass(frozen=True)
class Specialised:
    """A smaller network, and what is proven of it; it can be called as the network.

    Attributes
    ----------
    model : torch.nn.Module
        Equal to the dense network in the box, and to nothing in particular outside of it. It can
        be written with `save_pruned`.
    layers : tuple of SpecialisedLayer
        In order of execution; max-pooling has no units that could go.
    box : (Tensor, Tensor), float64
    slack : float
        In exact arithmetic both networks give the same; as they run, in the type of their weights,
        no output differs by more than this anywhere in the box. It is the worst case of rounding
        layer by layer, which grows with depth: it says little of networks of many layers.
    """

    model: nn.Module = field(repr=False)
    layers: tuple[SpecialisedLayer, ...]
    box: tuple[Tensor, Tensor] = field(repr=False)
    slack: float

    def __call__(self, inputs: Tensor) -> Tensor:
        """What the smaller network gives."""
        return self.model(inputs)

    @property
    def units(self) -> int:
        """Units of all layers of the dense network."""
        return sum(layer.units for layer in self.layers)

    @property
    def left(self) -> int:
        """Units of all layers of the smaller one."""
        return sum(layer.left for layer in self.layers)


@undisturbed("model")
@torch.no_grad()
def specialise(model: nn.Module, box: tuple[Tensor, Tensor], *, units: int = UNITS) -> Specialised:
    """The smaller network that is equal to a network all over a box of inputs.

    Bounds prove units constant or affine in the box. Constant ones are removed and what they say
    goes into the next layer's bias; of affine ones between two linear layers as many stay as the
    map through them has dimensions. Convolutions lose the channels that are zero at all positions,
    for a constant that is not zero meets the zeros of the padding. No input is looked at: the
    result is equal everywhere in the box, to rounding.

    Parameters
    ----------
    model : torch.nn.Module
        Piecewise affine, of layers that `find_groups` can follow. Left as it is.
    box : (Tensor, Tensor), shape (1, ...)
        Lowest and highest inputs of one box; one dimension is a box, too. A ball of radius r in
        the largest norm around x is ``(x - r, x + r)``; ``(x, x)`` is one input, in whose region
        the result is the affine map of that region.
    units : int
        As for `pruning_bound`.

    Returns
    -------
    Specialised

    Raises
    ------
    NotPiecewiseAffine
        If the network holds an operation that is not piecewise affine; it names the module.
    PruningError
        If no layer of the network can be pruned.
    TypeError
        For a box that is not two tensors of floating point numbers, or something that is no module.
    ValueError
        For a box that is empty, infinite, NaN, upside down, several boxes, or of a shape that the
        model does not take; for weights that are not finite; for values that overflow.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = sl.models.mlp([2, 16, 16, 2], seed=0)
    >>> x = torch.tensor([[0.3, -0.2]])
    >>> local = sl.specialise(net, (x - 0.01, x + 0.01))
    >>> local.units, local.left
    (32, 4)
    >>> torch.allclose(local(x), net(x), atol=local.slack)
    True
    """
    check_weights(model)
    box = Box.checked(box)
    if len(box) != 1:
        raise ValueError(
            f"there are {len(box)} boxes, and a network is specialised to one: give (low.amin(0), "
            "high.amax(0)) for the box around all of them, or call specialise for each"
        )
    state, eps = bounded(model, box, units), _eps(model)
    layout = find_groups(model, _middle(model, box))
    pairs = linear_pairs(state, layout, model)
    passing = _passing(state, pairs, model, eps)
    masks = _masks(state, layout, passing, model)
    dropped, places = dropped_channels(layout, masks), _places(passing, masks)
    kept = kept_channels(dict(model.named_modules()), dropped)
    small = _made(model, kept, places, passing)
    affine = {pair.producer: int(passing.pieces[pair.group].linear.sum()) for pair in pairs}
    layers = tuple(
        _told(name, pieces, len(dropped.get((maker, "out"), ())), affine.get(maker))
        for name, maker, pieces in layer_pieces(state)
    )
    slack = rounding(state, eps)
    errors = _errors(small, kept, places, passing)
    slack = slack + rounding(bounded(small, box, units), 2 * eps, errors)
    return Specialised(small, layers, (box.range.low, box.range.high), float(slack.max()))


def _middle(model: nn.Module, box: Box) -> Tensor:
    """An input of the type and on the device that the model takes."""
    types = [p.dtype for p in model.parameters() if p.is_floating_point()]
    return box.range.centre().to(device_of(model), types[0] if types else torch.float32)


def _eps(model: nn.Module) -> float:
    """Half the resolution of the coarsest type of its weights."""
    types = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return max(torch.finfo(dtype).eps for dtype in types) / 2


def _passing(state: State, pairs: list[LinearPair], model: nn.Module, eps: float) -> Passing:
    """The linear layers of all pairs, without the units that need not be there."""
    parts, values = dict(model.named_modules()), state.ranges[FIRST]
    maps, reads = {}, {}
    for pair in pairs:
        maps |= {name: _map_of(parts[name]) for name in (pair.producer, pair.consumer)}
        reads |= {pair.producer: values[pair.read], pair.consumer: values[pair.node.outputs[0]]}
    return Passing(pairs, maps, reads, eps)


def _map_of(layer: nn.Linear) -> Map:
    weight = layer.weight.detach().to("cpu", torch.float64)
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().to(weight)
    return weight, bias


def _masks(state: State, layout: Layout, passing: Passing, model: nn.Module) -> dict[str, Tensor]:
    """By group, which units stay, or have their place taken by one that passes a number on."""
    masks = {name: ~silent for name, silent in silent_units(state, layout, model).items()}
    for pair in passing.pairs:
        places = passing.places[pair.group]
        stays = torch.zeros_like(pair.pieces.known)
        stays[places[places >= 0]] = True
        free = (pair.pieces.linear & ~stays).nonzero().flatten()
        stays[free[: int((places < 0).sum())]] = True
        masks[pair.group] = stays
    for mask in masks.values():
        if not mask.any():  # a layer is never empty: a unit that says nothing stays
            mask[0] = True
    return masks


def _places(passing: Passing, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By the layer that makes them, where the units that `Passing` has are in the smaller one."""
    found = {}
    for pair in passing.pairs:
        kept, places = masks[pair.group].nonzero().flatten(), passing.places[pair.group]
        own = torch.isin(kept, places)
        found[pair.producer] = places.clone()
        found[pair.producer][places >= 0] = torch.searchsorted(kept, places[places >= 0])
        found[pair.producer][places < 0] = (~own).nonzero().flatten()[: int((places < 0).sum())]
    return found


def _made(
    model: nn.Module,
    kept: dict[str, dict[str, Tensor]],
    places: dict[str, Tensor],
    passing: Passing,
) -> nn.Module:
    """A copy with the channels that are kept, and the weights that were worked out."""
    small, biased = cut_copy(model, kept), []
    parts = dict(small.named_modules())
    makers = {pair.consumer: pair.producer for pair in passing.pairs}
    for name, (weight, bias) in passing.maps.items():
        layer, sides = parts[name], kept.get(name, {})
        (out, fan_in), rows = layer.weight.shape, (places.get(name), sides.get("out"))
        weight = _placed(weight, 1, fan_in, places.get(makers.get(name)), sides.get("in"))
        layer.weight.copy_(_placed(weight, 0, out, *rows))
        bias = _placed(bias, 0, out, *rows)
        if layer.bias is None and bias.any():
            zeros = layer.weight.new_zeros(len(bias))
            layer.bias = nn.Parameter(zeros, requires_grad=layer.weight.requires_grad)
            biased.append(name)
        if layer.bias is not None:
            layer.bias.copy_(bias)
    small.pruning_record = remembered(model, kept, biased)
    return small


def _errors(
    small: nn.Module,
    kept: Mapping[str, Mapping[str, Tensor]],
    places: Mapping[str, Tensor],
    passing: Passing,
) -> dict[int, Tensor]:
    """By value, how far what was worked out may be from what the dense network computes."""
    errors = {}
    for pair in passing.pairs:
        name, error = pair.consumer, passing.errors[pair.consumer]
        size, rows = side(small.get_submodule(name), "out"), kept.get(name, {}).get("out")
        errors[pair.made] = _placed(error, 0, size, places.get(name), rows)[None]
    return errors


def _placed(
    values: Tensor, axis: int, size: int, places: Tensor | None, kept: Tensor | None = None
) -> Tensor:
    """Rows or columns at the places that they have in the smaller network, zeros elsewhere."""
    if places is None:
        return values if kept is None else values.index_select(axis, kept)
    shape = list(values.shape)
    shape[axis] = size
    return values.new_zeros(shape).index_copy(axis, places, values)


def _told(name: str, pieces: Pieces, gone: int, affine: int | None) -> SpecialisedLayer:
    """What became of one layer's units: so many went, so many are left that are affine."""
    off, on = int(pieces.flat.sum()), int(pieces.linear.sum())
    merged = 0 if affine is None else min(gone, on - affine)
    return SpecialisedLayer(name, len(pieces.known), off, on, gone - merged, merged)
