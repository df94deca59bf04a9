"""Criteria: what a unit is worth, each after its source.

A criterion is a function ``criterion(context, group) -> (U,)``: a score for each unit of one
group, higher being kept longer, or None for a group that it cannot judge. `CRITERIA` names
those that `score` and `prune` know; users add theirs.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from .calibration import Outputs, batches, observe
from .compensation import dense_outputs
from .layout import Group, Layout
from .redundancy import (
    RHO,
    Reader,
    activity,
    canonical,
    least_damage_order,
    least_squares_order,
    pca,
    prices,
    principal_directions,
    readers,
    redundancy_order,
)
from .trace import evaluating

# PCA directions of the spline criterion. With a global cut and a refit, a quarter-width VGG-16
# on CIFAR-10 prefers 16 to 32, and loses ten points without PCA; the digits MLP prefers 8.
COMPONENTS = 16


class Context:
    """What a criterion may look at: the network, its groups, calibration inputs and labels.

    Attributes
    ----------
    model : torch.nn.Module
    layout : Layout
    data : Tensor or None
        Calibration inputs on the model's device.
    labels : Tensor or None
        Class of each calibration input, int64, shape (N,).
    seed : int
    generator : torch.Generator
        Seeded; on the CPU.
    """

    def __init__(
        self,
        model: nn.Module,
        layout: Layout,
        data: Tensor | None,
        seed: int,
        labels: Tensor | None = None,
    ):
        self.model, self.layout, self.data, self.seed = model, layout, data, seed
        self.labels = labels
        self._outputs: dict[str, Outputs] | None = None
        self._expects_outputs = False
        self.generator = torch.Generator().manual_seed(seed)
        self.modules = dict(model.named_modules())

    def rows(self, group: Group) -> list[Tensor]:
        """The weights that make each unit: a (U, ...) matrix for each producing layer."""
        return [
            self.modules[member.module].weight.detach()[member.indices.to(self._device)].flatten(1)
            for member in group.producers
        ]

    def batch_norms(self, group: Group) -> list[Tensor]:
        """The scale gamma of each unit in every batch norm that it passes, (U,) each."""
        return [
            module.weight.detach()[member.indices.to(self._device)].abs().mean(1)
            for member in group.members
            if isinstance(module := self.modules[member.module], _BatchNorm)
            and module.weight is not None
        ]

    def hyperplanes(self, group: Group) -> tuple[Tensor, Tensor]:
        """Normals (U, F) and offsets (U,) of the units, batch norm folded in.

        Where several layers make a unit (a residual add, a depthwise convolution behind a
        pointwise one) their rows stand side by side and their offsets add up: two units
        coincide only if they do so in every layer.
        """
        normals, offsets = [], []
        for member in group.producers:
            norm = self.modules.get(self.layout.batch_norms.get(member.module))
            weight, bias = folded(self.modules[member.module], norm)
            indices = member.indices.to(self._device)
            normals.append(weight[indices].flatten(1))
            offsets.append(bias[indices].sum(1))
        return torch.cat(normals, 1), torch.stack(offsets).sum(0)

    def readers(self, group: Group) -> list[Reader]:
        """What the layers that read the group's units see on the calibration inputs."""
        return self._readers[group.name]

    @functools.cached_property
    def _readers(self) -> dict[str, list[Reader]]:
        outputs = None
        if self._expects_outputs and self._outputs is None:
            outputs = self._dense_outputs()
        found = readers(self.model, self.layout, self._inputs, self.seed, outputs)
        self._outputs = outputs or self._outputs
        return found

    def expect_outputs(self) -> None:
        """Have the pass that `readers` makes, if it is still to come, note `outputs` as well."""
        self._expects_outputs = True

    def outputs(self) -> dict[str, Outputs]:
        """What the layers say on the calibration inputs, as `compensation.refit` takes it."""
        if self._outputs is None:
            outputs = self._dense_outputs()
            observe(self.model, self._inputs, [(name, o.hook) for name, o in outputs.items()])
            self._outputs = outputs
        return self._outputs

    def _dense_outputs(self) -> dict[str, Outputs]:
        return dense_outputs(self.model, self.layout, len(self._inputs), self.seed)

    def activity(self, group: Group) -> Tensor:
        """Sides of the units' hyperplanes that the data lie on; see `redundancy.activity`."""
        return self._activity[group.name]

    @functools.cached_property
    def _activity(self) -> dict[str, Tensor]:
        return activity(self.model, self.layout, self._inputs, self.seed)

    def sensitivities(self, group: Group) -> list[Tensor]:
        """``|g * w|`` of the weights that make each unit, as `rows` gives the weights.

        ``g`` is the gradient of the mean cross-entropy on the calibration inputs, in evaluation
        mode; values are shares of the sum over all weights of the network's layers, as in SNIP.
        """
        return [
            self._sensitivities[member.module][member.indices.to(self._device)].flatten(1)
            for member in group.producers
        ]

    @functools.cached_property
    def _sensitivities(self) -> dict[str, Tensor]:
        if self.labels is None:
            raise ValueError(
                "this criterion looks at the gradient of the loss: pass labels= beside data=, "
                "the class of each calibration input"
            )
        names = [f"{name}.weight" for name in self.layout.order]
        state = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
        weights = {name: state[name].detach().clone().requires_grad_() for name in names}
        total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        with torch.enable_grad(), evaluating(self.model):
            for inputs, target in batches(self._inputs, self.labels):
                logits = functional_call(self.model, state | weights, (inputs,))
                loss = nn.functional.cross_entropy(logits, target, reduction="sum")
                grads = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
                for name, grad in zip(names, grads, strict=True):
                    if grad is not None:
                        total[name] += grad
        share = {name: (total[name] * weights[name].detach()).abs() for name in names}
        whole = sum(value.sum(dtype=torch.float64) for value in share.values())
        if not whole > 0:
            raise ValueError(
                "the loss has no gradient on these inputs, so no weight is more sensitive than "
                "another: give inputs that the network does not fit perfectly"
            )
        return {name.removesuffix(".weight"): (v / whole).to(v) for name, v in share.items()}

    @property
    def _inputs(self) -> Tensor:
        if self.data is None:
            raise ValueError(
                "this criterion looks at activations: pass calibration inputs as data=, "
                "for instance 1,024 training images"
            )
        return self.data

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device


def folded(layer: nn.Module, norm: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Rows (out, F) and offsets (out,) of a layer with the batch norm that follows it, if any."""
    rows = layer.weight.detach().flatten(1)
    offset = rows.new_zeros(len(rows)) if layer.bias is None else layer.bias.detach()
    if norm is None or norm.running_var is None:
        return rows, offset
    scale = torch.rsqrt(norm.running_var + norm.eps)
    shift = torch.zeros_like(scale)
    if norm.affine:
        scale, shift = scale * norm.weight.detach(), norm.bias.detach()
    return rows * scale[:, None], (offset - norm.running_mean) * scale + shift


Criterion = Callable[[Context, Group], Tensor | None]


def spline(
    context: Context, group: Group, rho: float = RHO, components: int | float | None = None
) -> Tensor:
    """Distance at which a unit's hyperplane merges into another's; see `redundancy_order`.

    The choices, all ours, the paper's code having never been released:

    - Of a close pair the unit with the smaller norm goes, batch norm folded in: it bends the
      function less across the line that both draw. Of equals, the later one.
    - Layers are compared by the distance itself: angles have no unit, and offsets are measured
      in units of their root mean square in the group, whatever the scale of its inputs.
    - Normals are reduced by PCA first, to a fixed number of directions or to those that hold a
      share of the spectrum (`components`); what that does to distances, `redundancy.pca` says.
    - The defaults of ``rho`` and ``components`` lost least of those that ``benchmarks/settings.py``
      tries, on held-out CIFAR-10 images with a quarter-width VGG-16; on digits fewer directions
      lose less. Choose others on a validation split (`Dataset.split`) or, for ``components``, from
      the `spectrum`.

    Parameters
    ----------
    context : Context
    group : Group
    rho : float
        Weight of the offsets against the angles.
    components : int, float in (0, 1], or None
        PCA directions to keep: so many; or as many as hold this share of the squared lengths
        of the unit normals (from the spectrum: `spectrum`); None for `COMPONENTS`.

    Examples
    --------
    Another setting is another criterion:

    >>> import functools, splinelib as sl
    >>> half = functools.partial(sl.criteria.spline, rho=0.5, components=0.9)
    >>> sl.CRITERIA["spline, 90 % of the spectrum"] = half
    >>> del sl.CRITERIA["spline, 90 % of the spectrum"]
    """
    return merging_distance(*context.hyperplanes(group), rho, components)


def merging_distance(
    normals: Tensor, offsets: Tensor, rho: float = RHO, components: int | float | None = None
) -> Tensor:
    """The score of `spline`, shape (U,), from normals (U, F) and offsets (U,)."""
    strength = torch.linalg.vector_norm(normals, dim=1)
    unit, offset = canonical(normals, offsets)
    components = COMPONENTS if components is None else components
    if isinstance(components, float):
        components = directions_for(normals, components)
    reduced = unit  # as many directions as there are only turn the coordinates
    if components < min(unit.shape):
        reduced = unit @ principal_directions(unit, components)
    spread = offset.square().mean().sqrt()
    scaled = offset / spread if spread > 0 else offset
    # `redundancy_order` divides offsets by the norm of the normals; these are scaled already.
    length = torch.linalg.vector_norm(reduced, dim=1)
    return redundancy_order(reduced, scaled * length, rho=rho, strength=strength).cost


def codes(context: Context, group: Group) -> Tensor:
    """Share of the data on which a unit's code differs from its closest unit's.

    Greedy, as `spline` is, but the boundaries are compared where the data lie: two units that
    are active on the same inputs and positions, or on opposite ones, cut the data alike. A unit
    that is always on or always off cuts nothing, and goes at no cost. Of a pair, the unit whose
    incoming weights have the smaller norm goes.
    """
    bits = context.activity(group)
    strength = torch.stack([rows.norm(dim=1) for rows in context.rows(group)]).sum(0).cpu()
    strength = strength * bits.any(1)  # beside one that never changes, any other unit stays
    # 1 - |cos| of vectors of +-1 is twice the share of places where they differ, or agree if
    # that is less.
    order = redundancy_order(bits, bits.new_zeros(len(bits)), rho=0.0, strength=strength)
    return order.cost / 2


def magnitude(context: Context, group: Group) -> Tensor:
    """L1 norm of a unit's incoming weights (Li et al., ICLR 2017).

    As a share of the group's mean, so that layers can be compared; where several layers
    make the unit, the mean of their shares.
    """
    return _mean_share([rows.abs().sum(1) for rows in context.rows(group)])


def l2(context: Context, group: Group) -> Tensor:
    """L2 norm of a unit's incoming weights, as a share of the group's mean; see `magnitude`."""
    return _mean_share([rows.norm(dim=1) for rows in context.rows(group)])


def bn(context: Context, group: Group) -> Tensor | None:
    """Batch-norm scale |gamma| (network slimming, Liu et al., ICCV 2017).

    With one threshold for the whole network it draws Early-Bird Tickets (You et al., ICLR
    2020). The mean over the batch norms that a unit passes. Groups without any are left whole.
    """
    scales = context.batch_norms(group)
    return torch.stack(scales).mean(0) if scales else None


def random(context: Context, group: Group) -> Tensor:
    """Uniform random numbers from the context's seed."""
    return torch.rand(group.units, generator=context.generator)


def lsq(context: Context, group: Group) -> Tensor:
    """What a unit adds to the least-squares residual of a greedy removal.

    The residual is the part of the next layers' outputs that the kept units cannot reproduce, as
    a share of those outputs (`least_squares_order`). One threshold for the whole network
    makes the sum over its groups least for the number of units that go (`prices`).
    """
    return prices(least_squares_order(context.readers(group), group.units))


def thinet(context: Context, group: Group) -> Tensor:
    """What the next layers lose when a unit goes with those below it (ThiNet, ICCV 2017).

    Greedy: the set of removed units grows by the one that keeps the squared norm of their
    summed contribution to the next layer's output smallest (Luo, Wu and Lin, eq. 6), the
    other weights staying as they are. The score is that squared norm as a share of the
    output's, so that layers can be compared.
    """
    return least_damage_order(context.readers(group), group.units).cost


def snip(context: Context, group: Group) -> Tensor:
    """Connection sensitivity ``|g * w|`` summed over a unit's incoming weights.

    SNIP (Lee, Ajanthan and Torr, ICLR 2019, eq. 6) with whole units in place of single weights.
    Its authors score at initialisation; this scores the network as it is. Needs labels.
    """
    return torch.stack([rows.sum(1) for rows in context.sensitivities(group)]).mean(0)


def fpgm(context: Context, group: Group) -> Tensor:
    """Distance to the geometric median, signs kept (He et al., CVPR 2019).

    The sum of a filter's Euclidean distances to all filters of its layer, as a share of the
    group's mean; where several layers make the unit, the mean of their shares.
    """
    return _mean_share([torch.cdist(rows, rows).sum(1) for rows in context.rows(group)])


def _mean_share(values: list[Tensor]) -> Tensor:
    """Mean over the producing layers of each layer's values divided by their mean."""
    floor = torch.finfo(values[0].dtype).tiny
    return torch.stack([value / value.mean().clamp(min=floor) for value in values]).mean(0)


def spectrum(normals: Tensor) -> Tensor:
    """Share of the squared lengths of the unit normals that each PCA direction holds.

    Parameters
    ----------
    normals : Tensor, shape (U, fan_in)

    Returns
    -------
    Tensor, shape (min(U, fan_in),)
        Falling, adding up to 1; zeros if all rows are zero.
    """
    coordinates = pca(normals, min(normals.shape))
    energy = coordinates.square().sum(0)
    total = energy.sum()
    return energy / total if total > 0 else energy


def directions_for(normals: Tensor, share: float) -> int:
    """Fewest PCA directions that hold a share of the squared lengths of the unit normals."""
    if not 0 < share <= 1:
        raise ValueError(f"components as a share lies in (0, 1], it is {share}")
    reached = spectrum(normals).cumsum(0) >= share - 1e-6
    return int(reached.int().argmax()) + 1 if reached.any() else len(reached)


CRITERIA: dict[str, Criterion] = {
    "spline": spline,
    "codes": codes,
    "lsq": lsq,
    "magnitude": magnitude,
    "l2": l2,
    "bn": bn,
    "fpgm": fpgm,
    "thinet": thinet,
    "snip": snip,
    "random": random,
}
