"""Try a layout out: do smaller networks give what masked ones give, layer by layer?

The rules of `operations` say which units can go. What they cannot know (a size written into the
code, a count that is read from a module) shows when a network runs without them. So half of the
units of every group are masked in one copy and cut out of another, and what each layer says is
compared, for two complementary halves: a fault shows where it arises, before a small branch or an
average hides it. Where many channels are left, the second half is thinned out to as many in every
group, which shows as well what happens where sizes agree by chance; only if something is wrong is
it found out in steps what.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..errors import PruningError
from ..network.inputs import Inputs
from ..network.modes import evaluating
from ..network.outputs import is_wrapped, tensors_of
from ..network.overflow import holds_nan, overflow
from .agreement import agree, difference
from .axes import is_layer
from .layout import Group, Layout
from .surgery import cut_copy, dropped_channels, duplicate, kept_channels, silenced_at
from .trial_masks import at_once, coincidences, equal, halves

_POSITIONS = 64  # of each map, so that deep networks fit into memory


def disagreement(masked: nn.Module, small: nn.Module, example: Tensor) -> str | None:
    """None if both models give the same outputs on the example, else what is wrong."""
    inputs = Inputs((example,))
    with evaluating(masked), evaluating(small):
        expected = _said(masked, inputs)[""]
        try:
            found = _said(small, inputs)[""]
        except (RuntimeError, ValueError, IndexError) as error:
            return f"the smaller network fails ({str(error).splitlines()[0]})"
    if len(found) != len(expected):
        return f"it gives {len(found)} outputs instead of {len(expected)}"
    faults = (
        difference(a, b, torch.zeros_like(a), None) for a, b in zip(expected, found, strict=True)
    )
    return next((fault for fault in faults if fault), None)


def tried_out(model: nn.Module, layout: Layout, inputs: Inputs) -> Layout:
    """The layout without the groups whose removal does not do what masking does.

    Parameters
    ----------
    model : torch.nn.Module
        In the mode in which it should be tried. It is left as it is.
    layout : Layout
    inputs : Inputs

    Raises
    ------
    PruningError
        If the model is random, or if groups work alone and not together.
    ValueError
        If it gives NaN for these inputs; the module where that begins is named.
    """
    trial = _Trial(model, layout, inputs)
    sound, fixed = dict(layout.groups), dict(layout.fixed)
    while sound and not trial.passes(sound, fixed):
        # what was found is often enough; else the halves of each group show it, or nothing does
        fault = trial.seen or trial.fault(sound)
        bad = trial.culprits(sound, fault) if fault else {}
        if fault and trial.seen and not bad and not fault.only_outputs:
            fault = trial.fault(sound)
            bad = trial.culprits(sound, fault) if fault else {}
        if fault is None:
            return trial.withoutcoincidences(replace(layout, groups=sound, fixed=fixed))
        if not bad and fault.only_outputs:
            # every group alone gives the right outputs, and all layers say the same: only the
            # order of equals, which rounding decides, can differ
            trial.jumping.add("")
        elif not bad:
            raise PruningError(f"the groups of this network depend on each other: {fault.what}")
        for name, what in bad.items():
            why = f"removing units does not do what masking them does: {what}"
            _stays(sound.pop(name), why, fixed)
    return replace(layout, groups=sound, fixed=fixed)


def _stays(group: Group, why: str, fixed: dict[str, str]) -> None:
    """All whose parameters make the group's units are fixed; a first reason stands."""
    for member in group.members:
        if member.role == "out" or ":" in member.role:
            fixed.setdefault(member.module or "the model", why)


def is_random(model: nn.Module, inputs: Inputs) -> bool:
    """Whether the same inputs give other outputs the second time, in the mode it is in."""
    return _unlike(_said(model, inputs), _said(model, inputs)) is not None


def _unlike(said: dict[str, list[Tensor]], again: dict[str, list[Tensor]]) -> str | None:
    """The first layer that says other values in one of two runs; ``""`` for the outputs."""
    for name, tensors in said.items():
        for one, other in zip(tensors, again.get(name, []), strict=False):
            if one.shape == other.shape and not torch.allclose(one, other, equal_nan=True):
                return name
    return None


@dataclass(frozen=True)
class _Fault:
    """What went wrong, and the layer behind which it did."""

    what: str
    place: str
    only_outputs: bool = False  # all layers say the same
    fails: bool = False  # the smaller network does not run


class _Trial:
    def __init__(self, model: nn.Module, layout: Layout, inputs: Inputs):
        self.layout, self.inputs = layout, inputs
        self.model = _lively(model)
        self.jumping: set[str] = set()  # layers that are not compared

    @functools.cached_property
    def dense(self) -> dict[str, list[Tensor]]:
        """What the layers say with all units, needed where something differs at all."""
        said = _said(self.model, self.inputs)
        if holds_nan(said[""]):
            raise ValueError(overflow(self.model, *self.inputs.args, **self.inputs.kwargs))
        return said

    def check_repeats(self) -> None:
        """Raise `PruningError` if the same inputs give other outputs the second time."""
        name = _unlike(self.dense, _said(self.model, self.inputs))
        if name is not None:
            where = f"{name!r} gives" if name else "it gives"
            raise PruningError(
                f"the network is random in evaluation mode: {where} other values for the "
                "same inputs. Dropout that is always on (F.dropout(x) without "
                "training=self.training) does that"
            )

    def passes(self, groups: dict[str, Group], fixed: dict[str, str]) -> bool:
        """Whether these pass together, at equal sizes too; if not, or with few channels, find out.

        What goes wrong where half of their units are removed is noted in ``seen``.
        """
        layout, self.seen = replace(self.layout, groups=groups, fixed={}), None
        masks = at_once(groups, self._sizes_that_stay(fixed))
        if masks is None or (fault := self._fault(layout, masks[0])) is not None:
            self.seen = fault if masks else None
            return False
        return all(self._fault(layout, each) is None for each in masks[1:])

    def _sizes_that_stay(self, fixed: dict[str, str]) -> set[int]:
        return {self.layout.sizes[name][0] for name in fixed if name in self.layout.sizes}

    def culprits(self, groups: dict[str, Group], fault: _Fault) -> dict[str, str]:
        """The groups that are not sound alone, and why; those near the fault are tried first."""
        near = sorted(groups, key=lambda name: self._distance(groups[name], fault.place))
        for name in near[:3]:
            if (alone := self.fault({name: groups[name]})) is not None:
                likes = _likes(groups, name, alone.what) if alone.fails else {}
                return {name: alone.what} | likes
        return self._searched(groups)

    def _searched(self, groups: dict[str, Group]) -> dict[str, str]:
        """The same, by halving."""
        fault = self.fault(groups)
        if fault is None:
            return {}
        if len(groups) == 1:
            return {next(iter(groups)): fault.what}
        names, middle = list(groups), len(groups) // 2
        parts = names[:middle], names[middle:]
        first, second = (self._searched({n: groups[n] for n in part}) for part in parts)
        return first | second

    def withoutcoincidences(self, layout: Layout) -> Layout:
        """The layout without groups that are wrong where as many channels are left as elsewhere.

        A network that adds a shortcut only if its shape fits would add one that it did not have.
        """
        sound, fixed = dict(layout.groups), dict(layout.fixed)
        while sound:
            tried = replace(layout, groups=sound, fixed={})
            stay = self._sizes_that_stay(fixed)
            faults = (self._fault(tried, m) for m in equal(sound, coincidences(sound, stay)))
            if (fault := next((fault for fault in faults if fault), None)) is None:
                break
            name = min(sound, key=lambda name: self._distance(sound[name], fault.place))
            why = "removing units does not do what masking them does where as many channels are "
            _stays(sound.pop(name), f"{why}left as elsewhere: {fault.what}", fixed)
        return replace(layout, groups=sound, fixed=fixed)

    def _distance(self, group: Group, place: str) -> float:
        """How many layers before a place, or behind it, a group has its nearest part.

        That a layer made the wrong rows is more likely than that it read the wrong columns.
        """
        position = {name: i for i, name in enumerate(self.layout.order)}
        here = position.get(place, len(position))
        steps = [
            here - position[m.module] + 0.25 * (m.role != "out")
            for m in group.members
            if m.module in position
        ]
        return min((step if step >= 0 else 0.5 - step for step in steps), default=float("inf"))

    def fault(self, groups: dict[str, Group]) -> _Fault | None:
        """What goes wrong if half of the units of these groups are removed; None if nothing."""
        layout = replace(self.layout, groups=groups, fixed={})
        faults = (self._fault(layout, masks) for masks in halves(groups))
        return next((fault for fault in faults if fault is not None), None)

    def _fault(self, layout: Layout, masks: dict[str, Tensor]) -> _Fault | None:
        dropped = dropped_channels(layout, masks)
        kept = kept_channels(self.model, dropped)
        try:
            found = _said(cut_copy(self.model, kept, share=True), self.inputs)
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
            reached = getattr(error, "_reached", "")
            place = f" behind {reached!r}" if reached else ""
            what = f"the smaller network fails{place} ({str(error).splitlines()[0]})"
            return _Fault(what, reached, fails=True)
        rows = {name: sides.get("out") for name, sides in kept.items()}
        silent = silenced_at(self.model, dropped, share=True)
        masked = _said(silent, self.inputs)
        differences = self._differences(masked, found, rows)
        if next(differences, None) is None:
            return None
        self.check_repeats()
        self.jumping |= _jumping(silent, self.inputs, masked)
        return next(self._differences(masked, found, rows), None)

    def _differences(
        self, masked: dict[str, list[Tensor]], small: dict[str, list[Tensor]], rows: dict
    ) -> Iterator[_Fault]:
        """Where a layer, or the network, says something else in the smaller network."""
        for name, tensors in masked.items():
            if name not in self.jumping:
                found, out = small.get(name, []), rows.get(name)
                pairs = zip(tensors, found, strict=False)
                if len(found) == len(tensors) and all(agree(*p, out) for p in pairs):
                    continue
                fault = _difference(name, tensors, found, self.dense.get(name, []), out)
                if fault is not None:
                    yield fault


def _difference(
    name: str, masked: list[Tensor], small: list[Tensor], dense: list[Tensor], rows: Tensor | None
) -> _Fault | None:
    """Where a layer (or, for ``""``, the network) says something else in the smaller network."""
    if len(small) != len(masked):
        return _Fault(f"it gives {len(small)} outputs instead of {len(masked)}", name)
    for at, (expected, found) in enumerate(zip(masked, small, strict=True)):
        whole = dense[at] if at < len(dense) else expected
        fewer = expected.ndim == found.ndim == 2 and len(expected) != len(found)
        if name and fewer:
            continue  # a layer that is applied to each channel for itself: fewer, as should be
        if (why := difference(expected, found, whole, rows)) is not None:
            return _Fault(f"{name!r}: {why}" if name else why, name, only_outputs=not name)
    return None


def _jumping(model: nn.Module, inputs: Inputs, said: dict[str, list[Tensor]]) -> set[str]:
    """Layers that say something else if the inputs change by as much as rounding does.

    Where a detector ranks its boxes, say, what comes behind cannot be compared.
    """
    jumping = set()
    for step in (1e-6, -1e-6, 1e-5, -1e-5, 1e-4, -1e-4):

        def jogged(value, step=step):
            if not value.is_floating_point():
                return value
            noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(4))
            return value + step * _largest(value) * noise.to(value)

        again = _said(model, inputs.mapped(jogged))
        for name, tensors in said.items():
            others = again.get(name, [])
            alike = len(others) == len(tensors) and all(
                one.shape == other.shape
                and (not one.numel() or torch.allclose(one, other, 1e-3, 1e-3 * _largest(one)))
                for one, other in zip(tensors, others, strict=True)
            )
            # a layer might well change by ten times as much, the outputs of a network that jumps
            # change by more
            if not alike and (not name or abs(step) < 1e-5):
                jumping.add(name)
    return jumping


def _largest(tensor: Tensor) -> float:
    return tensor[torch.isfinite(tensor)].abs().max().item() if tensor.numel() else 0.0


def _likes(groups: dict[str, Group], bad: str, why: str) -> dict[str, str]:
    """The groups at the same place of other blocks: the same code fails without their units.

    They are not tried one by one, which takes long in a deep network.
    """

    def places(name: str) -> list[str]:
        members = [f"{member.module} {member.role}" for member in groups[name].members]
        # numbers of blocks: something with a name stands inside
        return [re.sub(r"(?<![^.])\d+(?=\..*[A-Za-z_])", "*", each) for each in (name, *members)]

    return {
        name: f"as {bad!r}, which stands at the same place of another block: {why}"
        for name in groups
        if name != bad and places(name) == places(bad)
    }


def _lively(model: nn.Module) -> nn.Module:
    """A copy in which weights that are all 0 are not, so that nothing is hidden behind them."""
    if all(tensor[0].any() or tensor.any() for _, tensor in _weights(model)):
        return model
    copied = duplicate(model)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, tensor in _weights(copied):
            if not tensor.any():
                fan = max(tensor[0].numel(), 1) if tensor.ndim > 1 else 1
                values = torch.randn(tensor.shape, generator=generator) / fan**0.5
                tensor.copy_(values)
    return copied


def _weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in model.named_parameters():
        if tensor.is_floating_point() and tensor.numel() and not name.endswith("bias"):
            yield name, tensor


def _said(model: nn.Module, inputs: Inputs) -> dict[str, list[Tensor]]:
    """What each layer says in one run, at a sample of positions, and under ``""`` the outputs."""
    said: dict[str, list[Tensor]] = {}
    reached = [""]

    def note(name):
        def hook(module, _, output):
            reached[0] = name
            if isinstance(output, Tensor) and not is_wrapped(output):
                said.setdefault(name, []).append(_sampled(module, output))

        return hook

    layers = [(name, module) for name, module in model.named_modules() if is_layer(module)]
    handles = [module.register_forward_hook(note(name)) for name, module in layers if name]
    try:
        with torch.no_grad():
            output = inputs.given_to(model)
    except Exception as error:
        error._reached = reached[0]
        raise
    finally:
        for handle in handles:
            handle.remove()
    said[""] = [_real(tensor) for tensor in tensors_of(output)]
    return said


def _real(tensor: Tensor) -> Tensor:
    """In float32; the two parts of complex numbers one behind the other."""
    if tensor.is_complex():
        tensor = torch.cat(torch.atleast_1d(tensor.real, tensor.imag))
    return tensor.float()


def _sampled(layer: nn.Module, output: Tensor) -> Tensor:
    """What a layer says, rows last, at some of its positions."""
    if not isinstance(layer, nn.Linear) and output.ndim > layer.weight.ndim - 2 + 1:
        output = output.movedim(1, -1)
    rows = output.reshape(-1, output.shape[-1])
    step = max(1, len(rows) // _POSITIONS)
    return _real(rows[::step]).clone()
