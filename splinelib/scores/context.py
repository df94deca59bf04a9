"""What a criterion may look at: the network, its groups, and what it does on given inputs."""

import functools

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd

from ..calibration.implied_moments import Implied
from ..calibration.moments import wide
from ..calibration.observing import Answers, Call, Outputs, RowSample, batches, observe
from ..channels.axes import rows_first
from ..channels.layout import Group, Layout
from ..network.modes import evaluating
from ..randomness import generator_of
from .hyperplanes import canonical, folded
from .implied_readers import implied_readers, layout_reads
from .least_squares import Reader
from .least_squares import readers as group_readers
from .merging import merging_distances
from .truncation import chosen_components

# Weights of a group's units up to which it is scored together with others: all are held at once.
_TOGETHER = 2**18


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
        self._readers: dict[str, list[Reader]] | None = None
        self._outputs: dict[str, Outputs] | None = None
        self._answers: Answers | None = None
        self._merging: dict[tuple, dict[str, Tensor]] = {}
        self.generator = generator_of(seed)
        self.modules = dict(model.named_modules())
        self._parameter = next(model.parameters(), None)  # which tells where the model is by now

    def rows(self, group: Group) -> list[Tensor]:
        """The weights that make each unit: a (U, ...) matrix for each producing layer.

        Those of half precision come in float32.
        """
        return [
            wide(rows_first(self.modules[member.module]))[member.indices.to(self._device)].flatten(
                1
            )
            for member in group.producers
        ]

    def batch_norms(self, group: Group) -> list[Tensor]:
        """The scale gamma of each unit in every batch norm that it passes, (U,) each."""
        return [
            wide(module.weight.detach())[member.indices.to(self._device)].abs().mean(1)
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
        normals, offsets, device = [], [], self._device
        for member in group.producers:
            norm = self.modules.get(self.layout.batch_norms.get(member.module))
            weight, bias = folded(self.modules[member.module], norm)
            indices = member.indices.to(device)
            rows, shape = indices.flatten(), indices.shape
            normals.append(weight.index_select(0, rows).view(shape[0], -1))
            offsets.append(bias.index_select(0, rows).view(shape).sum(1))
        if len(normals) == 1:
            return normals[0], offsets[0]
        return torch.cat(normals, 1), torch.stack(offsets).sum(0)

    def merging_distance(
        self, group: Group, rho: float, components: int | float | None, accuracy: float | None
    ) -> Tensor:
        """The score of `spline`, (U,), which is computed for all small groups at once.

        Raises
        ------
        ValueError
            Naming the group, if its normals are too long for their dtype.
        """
        known = self._merging.setdefault((rho, components, accuracy), {})
        if group.name not in known:
            groups = {group.name: group}
            if self._is_small(group):
                groups |= {
                    name: each
                    for name, each in self.layout.groups.items()
                    if not each.heads and name not in known and self._is_small(each)
                }
            layers = [self.hyperplanes(each) for each in groups.values()]
            try:
                kept = [chosen_components(normals, components, accuracy) for normals, _ in layers]
                costs = merging_distances(layers, rho, kept)
            except ValueError as error:
                for name, each in zip(groups, layers, strict=True):
                    _check_lengths(name, *each, error)
                raise
            known.update(zip(groups, costs, strict=True))
        return known[group.name]

    def _is_small(self, group: Group) -> bool:
        weights = (self.modules[member.module].weight for member in group.producers)
        return sum(weight.numel() for weight in weights) <= _TOGETHER

    def note(self, readers: bool = False, outputs: bool = False) -> None:
        """Run the dense network over the calibration inputs, once for all that is asked for here.

        Nothing happens for what has been noted before. What is not noted beforehand is when it is
        first looked at, in a pass of its own.

        Parameters
        ----------
        readers, outputs : bool
            What `readers` and `outputs` give.
        """
        readers, outputs = readers and self._readers is None, outputs and self._outputs is None
        if not (readers or outputs):
            return
        noted = {}
        if outputs:
            noted = dense_outputs(self.model, self.layout, len(self._inputs), self.seed)
            self._answers = noted[""] = Answers()
        if readers:
            self._readers = group_readers(self.model, self.layout, self._inputs, self.seed, noted)
        else:
            observe(self.model, self._inputs, [(name, o.look) for name, o in noted.items()])
        if outputs:
            del noted[""]
            self._outputs = noted

    def readers(self, group: Group) -> list[Reader]:
        """What the layers that read the group's units see on the calibration inputs.

        Empty if nothing can be said of that; see the function `readers`.
        """
        self.note(readers=True)
        return self._readers[group.name]

    def implied_readers(self, group: Group) -> list[Reader]:
        """What the layers that read the units see, as the network's own weights imply it."""
        return self._implied_readers[group.name]

    @functools.cached_property
    def implied_reads(self) -> dict[str, Implied]:
        """Moments of what each layer reads, as far as the network's own weights imply them."""
        return layout_reads(self.model, self.layout)

    @functools.cached_property
    def _implied_readers(self) -> dict[str, list[Reader]]:
        return implied_readers(self.model, self.layout, self.implied_reads)

    def outputs(self) -> dict[str, Outputs]:
        """What the layers say on the calibration inputs, as `compensation.refit` takes it."""
        self.note(outputs=True)
        return self._outputs

    def answers(self) -> Answers | None:
        """What the whole network gives on the calibration inputs, if `outputs` have been noted."""
        return self._answers

    def activity(self, group: Group) -> Tensor | None:
        """Sides of the units' hyperplanes that the data lie on; see the function `activity`.

        None if no input reaches the layers that make the units.
        """
        return self._activity.get(group.name)

    @functools.cached_property
    def _activity(self) -> dict[str, Tensor]:
        return activity(self.model, self.layout, self._inputs, self.seed)

    def sensitivities(self, group: Group) -> list[Tensor]:
        """``|g * w|`` of the weights that make each unit, as `rows` gives the weights.

        ``g`` is the gradient of the mean cross-entropy on the calibration inputs, in evaluation
        mode; values are shares of the sum over all weights of the network's layers, as in SNIP.
        """
        return [
            rows_first(self.modules[member.module], self._sensitivities[member.module])[
                member.indices.to(self._device)
            ].flatten(1)
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
                try:
                    logits = functional_call(self.model, state | weights, (inputs.clone(),))
                    loss = nn.functional.cross_entropy(logits, target, reduction="sum")
                    grads = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
                except (RuntimeError, TypeError, ValueError, IndexError) as error:
                    raise ValueError(
                        "this criterion looks at the gradient of a classifier's loss, which cannot "
                        f"be taken here: {error}. It needs a model that gives logits of shape "
                        "(N, classes), one row for each label"
                    ) from error
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
        return self._parameter.device


@torch.no_grad()
def activity(
    model: nn.Module, layout: Layout, data: Tensor, seed: int = 0, places: int = 8192
) -> dict[str, Tensor]:
    """On which side of its hyperplane each unit finds the calibration inputs.

    Parameters
    ----------
    model : torch.nn.Module
    layout : Layout
    data : Tensor, shape (N, ...)
    seed : int
        For the sample of inputs and positions.
    places : int
        Inputs and positions to look at for each layer that makes the units, at most.

    Returns
    -------
    dict of str to Tensor, shape (U, R), float32, on the CPU
        An entry for each group that an input reaches.
        +1 where the unit's output, batch norm included, is > 0, -1 elsewhere; where several
        layers make a unit, their places follow one another. A unit that never changes has a
        row of zeros: it draws no boundary there.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in layout.groups}
    lookers = []

    def looker(group: str, indices: Tensor, sample: RowSample):
        def look(call: Call) -> None:
            output = call.output
            channels_first = output.ndim > 2 and not isinstance(call.layer, nn.Linear)
            seen = output.movedim(1, -1) if channels_first else output
            rows = sample.next(seen.shape[:-1], call.batch).to(seen.device)
            rows = seen.reshape(-1, seen.shape[-1])[rows]
            side = rows[:, indices.to(rows.device)] > 0  # (r, U, m)
            parts[group].append(side.transpose(0, 1).flatten(1).cpu())

        return look

    for name, group in layout.groups.items():
        for member in group.producers:
            behind = layout.batch_norms.get(member.module, member.module)
            sample = RowSample(len(data), places, seed)
            lookers.append((behind, looker(name, member.indices, sample)))
    observe(model, data, lookers)
    result = {}
    for name, signs in parts.items():
        sides = torch.cat(signs, 1) if signs else torch.empty(0, 0)
        if not sides.shape[1]:
            continue
        changes = (sides.any(1) & ~sides.all(1)).float()
        result[name] = (2 * sides.float() - 1) * changes[:, None]
    return result


def dense_outputs(
    model: nn.Module, layout: Layout, inputs: int, seed: int = 0
) -> dict[str, Outputs]:
    """By layer, what a refit will ask of the dense network; yet to be filled.

    Every layer but the first may have to be solved anew; transposed convolutions are left alone.
    """
    modules = dict(model.named_modules())
    return {
        name: Outputs(modules[name], inputs, seed)
        for name in layout.order[1:]
        if not isinstance(modules[name], _ConvTransposeNd)
    }


def _check_lengths(name: str, normals: Tensor, offsets: Tensor, error: ValueError) -> None:
    """Raise `ValueError` naming a group if its hyperplanes are where an error comes from."""
    try:
        canonical(normals, offsets)
    except ValueError:
        raise ValueError(
            f"the units of {name!r} cannot be compared: {error}; scale its weights down, or prune "
            "the model in float64 (model.double())"
        ) from error
