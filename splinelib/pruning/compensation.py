"""Make up for what is dropped by what is kept.

Four ways, none with any training. One needs no inputs at all:

- ``merge``: as ``fold``, under moments that the network's own weights imply (`merging`).

Three are convex fits on unlabelled calibration inputs:

- ``fold``: each dropped channel is rebuilt from the kept ones, and the layer that reads it
  gets the combination folded into its kernel. (In the spirit of neuron merging, Kim et
  al., NeurIPS 2020.) Exact where two hyperplanes coincide.
- ``refit``: layer by layer, the whole kernel over the kept channels and a constant are
  solved anew so that the small network's pre-activations match the dense network's. What
  earlier layers got wrong is mended by later ones. (Relatives: He, Zhang, Sun, ICCV 2017;
  ThiNet, ICCV 2017.)
- ``distil``: refit, and then the last layer of a classifier once more, so that not its logits
  but its class probabilities match the dense network's (`distillation`).

A fit is made of the linear map that a layer is (`calibration.layer_maps`), and taken back where it
makes the layer worse. `checking` compares the whole network with what it would be without.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from ..calibration.fourier import fourier_products
from ..calibration.im2col import output_rows, patches, rows_made, taps_first
from ..calibration.layer_maps import (
    LayerMap,
    alone_text,
    given_to,
    is_plain,
    layer_map,
    rounding_to,
    run_again,
    warn_text,
)
from ..calibration.moments import wide
from ..calibration.observing import Outputs, channels_last, observe
from ..calibration.regression import HELD, Regression, StreamedRegression, held, solved
from ..channels.layout import Layout
from ..errors import warn
from ..network.hooks import hooked
from ..network.modes import evaluating
from ..network.surroundings import undisturbed
from .changing import Change, own_norms
from .distillation import matched_probabilities
from .folding import FOLD_RIDGE as FOLD_RIDGE
from .folding import fold
from .merging import merge

# Ridge as a share of the mean variance of the columns (`regression.solved`). It pulls towards the
# weights that the layer has already, so that where nothing was dropped nothing changes.
RIDGE = 1e-3


@undisturbed("dense")
@torch.no_grad()
def refit(
    dense: nn.Module,
    small: nn.Module,
    layout: Layout,
    kept: dict[str, dict[str, Tensor]],
    data: Tensor,
    seed: int = 0,
    ridge: float = RIDGE,
    outputs: Mapping[str, Outputs] | None = None,
) -> list[str]:
    """Solve the small network's kernels anew, in place, layer after layer.

    The small network sees all calibration inputs in one forward pass; when the pass reaches
    a layer, its kernel is solved from what arrives there and from what the dense layer says,
    and the pass goes on with the new kernel.

    Memory: the activations of one layer and of the next for all inputs; what the dense layers say
    at the rows that are fitted; chunks of 34 MB; and for the fit at most 1.2 GB
    (`regression.HELD`). A layer whose normal equations would take more, which from 7,000 columns
    on they do, is solved by conjugate gradients, to a millionth of the right-hand side: they hold
    a few times as much as its weights and as its inputs, and take some hundred products with the
    rows (`calibration.fourier`).

    A layer is left as it was cut, with a warning, if it does not compute a multiple of its weight
    times what it reads (`layer_maps`), if other rows reach it than in the dense network, or if a
    single one does; silently, if none does, if its outputs on these inputs would be farther from
    the dense layer's than before, or if there are so few rows that fits on three of four do harm
    to the rest. If there the mean of what is missing does better than the fit, that is what is
    added.

    Parameters
    ----------
    dense, small : torch.nn.Module
        The small network is changed.
    layout : Layout
        Of the dense network.
    kept : dict
        Module -> role -> channels that stayed (`cuts.kept_channels`).
    data : Tensor, shape (N, ...)
    seed : int
        For the sample of positions of large images.
    ridge : float
    outputs : dict of str to Outputs, optional
        `dense_outputs` that have seen the dense network run on the data. Without it the dense
        network is run here.

    Returns
    -------
    list of str
        Layers that got a bias which they did not have.
    """
    modules = dict(small.named_modules())
    affected = [n for n in layout.order if "in" in kept.get(n, {})]
    if not affected:
        return []
    names = [
        name
        for name in layout.order[layout.order.index(affected[0]) :]
        if not isinstance(modules[name], _ConvTransposeNd)
    ]
    stay = {name: kept.get(name, {}).get("out") for name in names}
    targets = _targets(dense, names, stay, data, seed, outputs)
    norms = own_norms(small, layout, data[:1])
    fits = {
        name: _Refit(modules[name], modules.get(norms.get(name)), target, ridge)
        for name, target in targets.items()
    }
    data = channels_last(small, data)
    before, behind = (
        {modules[name]: getattr(fit, side) for name, fit in fits.items()}
        for side in ("before", "behind")
    )
    with hooked(before, behind, keywords=True), evaluating(small):
        small(data.clone())
    _tell({name: fit.left for name, fit in fits.items() if fit.left})
    return [name for name, fit in fits.items() if fit.added]


class _Target(NamedTuple):
    """What a layer of the dense network says, of the channels that stay, at some of its rows."""

    values: Tensor
    rows: Tensor
    all_rows: int  # how many there were


def _targets(
    dense: nn.Module,
    names: list[str],
    stay: Mapping[str, Tensor | None],
    data: Tensor,
    seed: int,
    outputs: Mapping[str, Outputs] | None,
) -> dict[str, Callable[[], _Target | None]]:
    """By layer, what gives its target once and lets go of it; None for one that never ran.

    The small network gets all inputs at once. A layer of which the rows depend on how inputs are
    batched (time steps in front of the inputs, an expert) is therefore looked at again in a run of
    the dense network on all inputs.
    """
    layers = dict(dense.named_modules())
    if whole := outputs is None:
        outputs = {name: Outputs(layers[name], len(data), seed, stay[name]) for name in names}
        observe(dense, data, [(name, said.look) for name, said in outputs.items()])
    found = {name: outputs[name] for name in names if name in outputs}
    again = {
        name: Outputs(layers[name], len(data), seed, stay[name])
        for name, said in found.items()
        if said.sample.uneven
    }
    if again:
        observe(dense, data, [(name, said.look) for name, said in again.items()], whole=True)

    def once(name: str):
        def target() -> _Target | None:
            said = again.pop(name, None)
            held = said is not None or whole  # no other channels
            first = found.pop(name)
            said = first if said is None else said
            values = said.values(None if held else stay[name])
            return values if values is None else _Target(values, said.sample.rows, said.sample.seen)

        return target

    return {name: once(name) for name in found}


class _Refit:
    """Solves one layer when inputs reach it, and takes that back if its outputs get worse.

    Attributes
    ----------
    left : str
        Why it was left as it was cut, if it was: "map" for a layer that is no linear map of its
        weight, "rows" for one that other inputs reach than in the dense network, "alone" for one
        that was given a single row.
    """

    def __init__(
        self,
        layer: nn.Module,
        norm: nn.Module | None,
        target: Callable[[], _Target | None],
        ridge: float,
    ):
        self.layer, self.norm, self.target, self.ridge = layer, norm, target, ridge
        self.plain, self.seen, self.left, self.change = is_plain(layer), False, "", None

    @torch.no_grad()  # a forward may ask for gradients
    def before(self, layer: nn.Module, args: tuple, kwargs: dict) -> None:
        """A pre-hook: solve the layer for what arrives."""
        inputs = given_to(args, kwargs)
        if layer is not self.layer or self.seen or inputs is None:
            return
        self.seen, target = True, self.target()
        if target is None or not inputs.numel() or not len(target.rows):
            return
        change = Change(layer, layer_map(layer, args, kwargs, plain=self.plain), self.norm)
        if not change.possible:
            self.left = "map"
            return
        if rows_made(change.found.layer, change.found.inputs) != target.all_rows:
            self.left = "rows"
            return
        if len(target.rows) == 1:
            self.left = "alone"
            return
        with rounding_to(None, inputs.device.type):
            solved = _solve(change.found, target, self.ridge)
            if solved is None:
                return
            step, self.constant, self.without = solved
            change.make(step, self.constant)
        self.change, self.wanted = change, target

    def behind(self, layer: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor | None:
        """A hook: compare what the layer says now with what it said when it was cut."""
        if layer is not self.layer or self.change is None:
            return None
        with rounding_to(None, output.device.type), torch.no_grad():
            wanted = wide(self.wanted.values)
            error = wide(output_rows(layer, output, self.wanted.rows)) - wanted
            if self.change.behind:
                error += self.constant.to(error.dtype)
            error = float(error.square().sum(dtype=torch.float64))
            rounding = torch.finfo(output.dtype).eps ** 2 * float(wanted.square().sum())
        self.wanted = None
        if error <= self.without * (1 + 1e-6) + rounding:
            self.change.keep()
            return None
        self.change.take_back()
        self.change = None
        return run_again(layer, args, kwargs)

    @property
    def added(self) -> bool:
        """Whether the layer took a bias that was not there."""
        return self.change is not None and self.change.added


def _tell(left: Mapping[str, str]) -> None:
    """One warning for each reason why layers were left as they were cut."""
    if unknown := [name for name, why in left.items() if why == "map"]:
        warn(warn_text(unknown, "they are not solved anew"))
    if alone := [name for name, why in left.items() if why == "alone"]:
        warn(alone_text(alone))
    if other := [name for name, why in left.items() if why == "rows"]:
        warn(
            f"other inputs reach layers {other} in the smaller network than in the dense one, "
            "which chooses where to send them: they are not solved anew"
        )


@undisturbed("dense")
@torch.no_grad()
def distil(
    dense: nn.Module,
    small: nn.Module,
    layout: Layout,
    kept: dict[str, dict[str, Tensor]],
    data: Tensor,
    seed: int = 0,
    outputs: Mapping[str, Outputs] | None = None,
) -> list[str]:
    """Refit, then match the dense network's class probabilities; see the module's text.

    Parameters and result as for `refit`. How far the last layer moves from its least-squares
    fit is decided on a quarter of the calibration inputs that the others are fitted without, up to
    1,024 of them on each quarter in turn.
    """
    added = refit(dense, small, layout, kept, data, seed, outputs=outputs)
    if not kept:
        return added
    name = layout.order[-1]
    layer = dict(small.named_modules())[name]
    maps, wanted = [], []
    observe(small, data, [(name, lambda call: maps.append(call.map()))])
    observe(dense, data, [(name, lambda call: wanted.append(call.output))])
    change = Change(layer, maps[0])
    if not change.possible or not all(maps):
        warn(warn_text([name], "probabilities are not matched"))
        return added
    weight, shift = wide(maps[0].layer.weight).double(), maps[0].shift
    bias = weight.new_zeros(len(weight)) if shift is None else shift.double()
    read = torch.cat([found.inputs for found in maps]).double()
    probabilities = torch.cat(wanted).double().softmax(1)
    matched, shifted = matched_probabilities(read, probabilities, weight, bias)
    change.make(matched - weight, shifted - bias)
    return [*added, name] if change.added else added


def _solve(said: LayerMap, target: _Target, ridge: float) -> tuple[Tensor, Tensor, float] | None:
    """Ridge least squares of what a layer shall say on what it reads.

    None where there are so few rows that it does harm to those that it has not seen
    (`regression.solved`).

    Returns
    -------
    step : Tensor
        What to add to the weight that runs, float64, in its shape.
    constant : Tensor, shape (out,)
        What to add to the outputs.
    without : float
        Sum of the squared errors of the outputs as they are.
    """
    layer = said.layer
    blocks = getattr(layer, "groups", 1)
    kernel = wide(layer.weight.detach())
    weight = taps_first(kernel)
    outputs, taps, channels = weight.shape
    weight = weight.reshape(blocks, outputs // blocks, taps * channels)
    rows, values = target.rows, target.values
    bias = 0 if said.shift is None else wide(said.shift)

    def pairs() -> Iterator[list[tuple[Tensor, Tensor]]]:
        """What each block reads and what is missing of what it shall say, some rows at a time."""
        done = 0
        for patch in patches(layer, said.inputs, rows):
            patch = patch.to(weight.dtype)
            wanted = values[done : done + len(patch)].to(weight.dtype) - bias
            wanted = wanted.reshape(len(patch), blocks, -1)
            done += len(patch)
            reads = [part.flatten(1) for part in patch.split(channels, dim=2)]
            yield [(read, wanted[:, b] - read @ weight[b].T) for b, read in enumerate(reads)]

    size = taps * channels, len(rows)
    streamed = blocks * held(*size, weight.element_size()) > HELD
    if streamed:
        products = fourier_products(layer, said.inputs, rows)
        fits = [
            StreamedRegression(lambda b=b: (parts[b] for parts in pairs()), *size, product)
            for b, product in enumerate(products)
        ]
    else:
        fits = [Regression(*size) for _ in range(blocks)]
    without = torch.zeros(blocks, dtype=torch.float64)
    for parts in pairs():
        for block, (fit, (read, rest)) in enumerate(zip(fits, parts, strict=True)):
            without[block] += float(rest.square().sum(dtype=torch.float64))
            if not streamed:
                fit.add(read, rest)
    gains = weight.square().sum((1, 2), dtype=torch.float64).cpu()
    if (found := solved(fits, ridge, without / len(rows) / gains)) is None:
        return None
    steps, constants = zip(*found, strict=True)
    step = torch.cat([step.T for step in steps]).view(outputs, taps, channels)
    return step.transpose(1, 2).reshape(kernel.shape), torch.cat(constants), float(without.sum())


# Compensation -> ``method(dense, small, layout, kept, data, seed, **known)``, which changes the
# small network and gives the layers that got a bias which they did not have.
METHODS: dict[str, Callable[..., list[str]]] = {
    "merge": merge,
    "fold": fold,
    "refit": refit,
    "distil": distil,
}
# Those that may know the `outputs` of the dense network's layers, and those that need no data and
# may know what its layers read, `reads`.
REFITTING, DATALESS = frozenset({"refit", "distil"}), frozenset({"merge"})
