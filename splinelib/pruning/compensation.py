"""Fold what is dropped into what is kept.

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
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd

from ..calibration.im2col import output_rows, patches, rows_shape, taps_first
from ..calibration.observing import Outputs, RowSample, channels_last, observe, rows_needed
from ..calibration.regression import Regression
from ..channels.layout import Layout
from ..network.modes import evaluating
from .distillation import matched_probabilities
from .merging import merge

# Ridge as a share of the mean variance of the columns. It pulls towards the weights that
# the layer has already, so that where nothing was dropped nothing changes.
RIDGE = 1e-3
# Only there to keep the system solvable: it pulls towards nothing, which would be wrong.
FOLD_RIDGE = 1e-6


@torch.no_grad()
def fold(
    dense: nn.Module,
    small: nn.Module,
    layout: Layout,
    kept: dict[str, dict[str, Tensor]],
    data: Tensor,
    seed: int = 0,
) -> list[str]:
    """Fold dropped channels into the kept ones, in place; see the module's text.

    Parameters and result as for `refit`. Every layer is treated on its own, from what the
    dense network computes.
    """
    modules = dict(small.named_modules())
    names = [n for n in layout.order if "in" in kept.get(n, {})]
    fits = {name: _Fold(kept[name], len(data), seed) for name in names}

    def note(name: str):
        return lambda layer, inputs, output: fits[name].add(layer, inputs[0])

    observe(dense, data, [(name, note(name)) for name in names])
    added = []
    for name, fit in fits.items():
        constant = fit.into(modules[name])
        if _absorb(modules[name], modules.get(layout.batch_norms.get(name)), constant):
            added.append(name)
    return added


class _Fold:
    """Rebuilds the dropped inputs of one layer from the kept ones.

    For a convolution the dropped channels are the targets, so that one combination serves
    all kernel taps. For a linear layer, which may read many columns behind a flatten, the
    targets are what the dropped columns contribute to its outputs.
    """

    def __init__(self, kept: dict[str, Tensor], images: int, seed: int):
        self.keep, self.out = kept["in"], kept.get("out")
        self.images, self.seed, self.fit = images, seed, None

    def add(self, layer: nn.Module, inputs: Tensor) -> None:
        if self.fit is None:
            self._prepare(layer, inputs)
        rows = self.sample.next(rows_shape(layer, inputs))
        if len(rows):
            read = output_rows(layer, inputs, rows)
            dropped = read[:, self.drop]
            target = dropped if self.weight.ndim > 2 else dropped @ self.weight[:, self.drop].T
            self.fit.add(read[:, self.keep], target)

    def _prepare(self, layer: nn.Module, inputs: Tensor) -> None:
        channels = layer.weight.shape[1]
        self.sample = RowSample(self.images, rows_needed(layer), self.seed)
        available = self.images * math.prod(rows_shape(layer, inputs)[1:])
        self.fit = Regression(len(self.keep), min(available, self.sample.needed))
        stays = torch.zeros(channels, dtype=torch.bool)
        stays[self.keep] = True
        self.drop = (~stays).nonzero().flatten().to(inputs.device)
        self.keep = self.keep.to(inputs.device)
        self.weight = layer.weight.detach()
        if self.out is not None:
            self.weight = self.weight[self.out.to(inputs.device)]

    def into(self, layer: nn.Module) -> Tensor:
        """Change the small layer's kernel; the constant to add, shape (out,)."""
        step, constant = self.fit.solve(FOLD_RIDGE)
        if self.weight.ndim == 2:
            layer.weight += step.T.to(layer.weight.dtype)
            return constant
        dropped = self.weight[:, self.drop].double()
        layer.weight += torch.einsum("kd,od...->ok...", step, dropped).to(layer.weight.dtype)
        return dropped.flatten(2).sum(2) @ constant


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
    and the pass goes on with the new kernel. Memory: the activations of one layer for all
    inputs, and what the dense layers say at the rows that are fitted.

    Parameters
    ----------
    dense, small : torch.nn.Module
        The small network is changed.
    layout : Layout
        Of the dense network.
    kept : dict
        Module -> role -> channels that stayed (`surgery.kept_channels`).
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
    if outputs is None:
        layers = dict(dense.named_modules())
        targets = {name: Outputs(layers[name], len(data), seed, stay[name]) for name in names}
        observe(dense, data, [(name, said.hook) for name, said in targets.items()])
        stay = dict.fromkeys(names)  # they hold no other channels
    else:
        targets = dict(outputs)
    added: list[str] = []

    def solve(name: str):
        def hook(layer: nn.Module, inputs: tuple) -> None:
            targeted = targets.pop(name)
            target = targeted.values(stay[name])
            constant = _solve(layer, inputs[0], targeted.sample.rows, target, ridge)
            if _absorb(layer, modules.get(layout.batch_norms.get(name)), constant):
                added.append(name)

        return hook

    data = channels_last(small, data)
    hooks = [modules[name].register_forward_pre_hook(solve(name)) for name in names]
    try:
        with evaluating(small):
            small(data)
    finally:
        for hook in hooks:
            hook.remove()
    return added


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
    fit is decided on a quarter of the calibration inputs that the others are fitted without.
    """
    added = refit(dense, small, layout, kept, data, seed, outputs=outputs)
    if not kept:
        return added
    name = layout.order[-1]
    layer = dict(small.named_modules())[name]
    read, wanted = [], []
    observe(small, data, [(name, lambda _, inputs, output: read.append(inputs[0]))])
    observe(dense, data, [(name, lambda _, inputs, output: wanted.append(output))])
    weight, bias = matched_probabilities(
        torch.cat(read).double(),
        torch.cat(wanted).double().softmax(1),
        layer.weight.double(),
        layer.weight.new_zeros(len(layer.weight)).double()
        if layer.bias is None
        else layer.bias.double(),
        seed,
    )
    layer.weight.copy_(weight)
    if layer.bias is None:
        layer.bias = nn.Parameter(bias.to(layer.weight.dtype), layer.weight.requires_grad)
        return [*added, name]
    layer.bias.copy_(bias)
    return added


def _solve(layer: nn.Module, inputs: Tensor, rows: Tensor, target: Tensor, ridge: float) -> Tensor:
    """Set the layer's kernel by ridge least squares; the constant to add, shape (out,)."""
    blocks = getattr(layer, "groups", 1)
    weight = taps_first(layer.weight)
    outputs, taps, channels = weight.shape
    weight = weight.reshape(blocks, outputs // blocks, taps * channels)
    fits = [Regression(taps * channels, len(rows)) for _ in range(blocks)]
    bias = 0 if layer.bias is None else layer.bias
    done = 0
    for patch in patches(layer, inputs, rows):
        wanted = (target[done : done + len(patch)] - bias).reshape(len(patch), blocks, -1)
        done += len(patch)
        for block, fit in enumerate(fits):
            read = patch[:, :, block * channels : (block + 1) * channels].flatten(1)
            fit.add(read, wanted[:, block] - read @ weight[block].T)
    steps, constants = zip(*(fit.solve(ridge) for fit in fits), strict=True)
    step = torch.cat([step.T for step in steps]).view(outputs, taps, channels)
    layer.weight += step.transpose(1, 2).reshape(layer.weight.shape).to(layer.weight.dtype)
    return torch.cat(constants)


def _absorb(layer: nn.Module, norm: nn.Module | None, constant: Tensor) -> bool:
    """Add a constant to a layer's output; True if it took a bias that was not there.

    A batch norm behind the layer takes it in its running mean: its shift would do the same
    in evaluation, but in training the batch's own mean is taken off, and a changed shift
    would then be wrong.
    """
    if layer.bias is not None:
        layer.bias += constant.to(layer.bias.dtype)
        return False
    if isinstance(norm, _BatchNorm) and norm.running_mean is not None:
        norm.running_mean -= constant.to(norm.running_mean.dtype)
        return False
    layer.bias = nn.Parameter(
        constant.to(layer.weight.dtype), requires_grad=layer.weight.requires_grad
    )
    return True


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
