"""Try a layout out: do smaller networks give what masked ones give, layer by layer?

The rules of `operations` say which units can go. What they cannot know (a size written into the
code, a count that is read from a module) shows when a network runs without them. So half of the
units of every group are masked in one copy and cut out of another, and what each layer says is
compared, for two complementary halves: a fault shows where it arises, before a small branch or an
average hides it. Where many channels are left, one masked network holds both halves
(`side_by_side`), and the second is thinned out to as many in every group, which shows as well what
happens where sizes agree by chance; only if something is wrong is it found out in steps what. Where
one smaller network alone will be made, it is that which is tried first (`agreement`).
"""

import functools
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..errors import PruningError, in_short
from ..network.inputs import Inputs
from ..network.lending import Lender
from ..network.overflow import holds_nan, overflow
from .agreement import is_right, is_right_in_double
from .choices import Choices, Key, says
from .cuts import Cut, cut_for_a_while, kept_channels
from .jumps import jumping
from .layout import Group, Layout
from .saying import Lengths, Said, alike, differs, positions_of, said_by, said_twice
from .side_by_side import Dropped, side_by_side
from .surgery import dropped_channels, duplicate, silenced_at
from .trial_masks import at_once, coincidences, equal, halves, turned

Asked = Callable[[Layout], Cut | None]


def tried_out(
    model: nn.Module,
    layout: Layout,
    inputs: Inputs,
    lend: Lender | None = None,
    ranks: bool = False,
    asked: Asked | None = None,
) -> Layout:
    """The layout without the groups whose removal does not do what masking does.

    Parameters
    ----------
    model : torch.nn.Module
        In the mode in which it should be tried. It is left as it is.
    layout : Layout
    inputs : Inputs
    lend : Lender, optional
        Of the model.
    ranks : bool
        Whether the model ranks numbers. Every network then makes the `choices` of the whole one.
    asked : callable, optional
        Given the layout, the one cut that will be made. If that is right it is all that is tried,
        and the layout comes back as it is; if not, or if there is none, it is tried out as any
        other.

    Raises
    ------
    PruningError
        If the model is random, or if groups work alone and not together.
    ValueError
        If it gives NaN for these inputs; the module where that begins is named.
    """
    trial, cut = _Trial(model, layout, inputs, lend, ranks), asked(layout) if asked else None
    plain = not ranks and trial.model is model
    if cut and plain and is_right(cut, inputs, trial.lend):
        return layout
    tried = trial.tried()
    if not cut or tried is not layout or (fault := trial._fault(layout, cut.masks)) is None:
        return tried
    # where next to nothing goes, what rounding does may be more
    if not is_right_in_double(cut, inputs, trial.model):
        raise PruningError(
            "without the units that are asked for the network does not do what masking them does, "
            f"though without others it does: {fault.what}. Another ratio, or round_to=, leaves "
            "other numbers of units"
        )
    return tried


def _stays(group: Group, why: str, fixed: dict[str, str]) -> None:
    """All whose parameters make the group's units are fixed; a first reason stands."""
    for member in group.members:
        if member.role == "out" or ":" in member.role:
            fixed.setdefault(member.module or "the model", why)


def is_random(model: nn.Module, inputs: Inputs) -> bool:
    """Whether the same inputs give other outputs the second time, in the mode it is in."""
    return _unlike(said_by(model, inputs), said_by(model, inputs)) is not None


def _unlike(said: Said, again: Said) -> str | None:
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


@dataclass(frozen=True)
class _Smaller:
    """What went, the rows of each layer that are left, and what the smaller network says."""

    dropped: Dropped
    rows: dict[str, Tensor | None]
    said: Said
    lengths: Lengths
    taken: set[Key]  # the choices of the whole network that it made


class _Trial:
    def __init__(
        self,
        model: nn.Module,
        layout: Layout,
        inputs: Inputs,
        lend: Lender | None = None,
        ranks: bool = False,
    ):
        self.layout, self.inputs, self.ranks = layout, inputs, ranks
        self.model = _lively(model)
        self.lend = lend if lend and self.model is model else Lender(self.model)
        self.jumping: set[str] = set()  # layers that are not compared

    @functools.cached_property
    def choices(self) -> Choices:
        """What the whole network chooses."""
        return Choices()

    @functools.cached_property
    def dense(self) -> Said:
        """What the layers say with all units, needed where something differs at all."""
        said = says(self.model, self.inputs, self.choices if self.ranks else None)
        if holds_nan(said[""]):
            raise ValueError(overflow(self.model, *self.inputs.args, **self.inputs.kwargs))
        return said

    def _again(self, taken: set[Key] | None = None) -> Choices | None:
        """To make the choices of the whole network again; with ``taken``, only those."""
        return Choices(self.choices, taken) if self.ranks and self.dense else None

    def check_repeats(self) -> None:
        """Raise `PruningError` if the same inputs give other outputs the second time."""
        name = _unlike(self.dense, said_by(self.model, self.inputs))
        if name is not None:
            where = f"{name!r} gives" if name else "it gives"
            raise PruningError(
                f"the network is random in evaluation mode: {where} other values for the "
                "same inputs. Dropout that is always on (F.dropout(x) without "
                "training=self.training) does that"
            )

    def tried(self) -> Layout:
        """The layout without the groups that are not sound; the very same if all are."""
        sound, fixed = dict(self.layout.groups), dict(self.layout.fixed)
        while sound and not self.passes(sound, fixed):
            # what was found is often enough; else the halves of each group show it, or none does
            fault = self.seen or self.fault(sound)
            bad = self.culprits(sound, fault) if fault else {}
            if fault and self.seen and not bad and not fault.only_outputs:
                fault = self.fault(sound)
                bad = self.culprits(sound, fault) if fault else {}
            if fault is None:
                return self._without_coincidences(sound, fixed)
            if not bad and fault.only_outputs:
                # every group alone gives the right outputs, and all layers say the same: only the
                # order of equals, which rounding decides, can differ
                self.jumping |= {"", *self.choices.said}
            elif not bad:
                raise PruningError(f"the groups of this network depend on each other: {fault.what}")
            for name, what in bad.items():
                why = f"removing units does not do what masking them does: {what}"
                _stays(sound.pop(name), why, fixed)
        return self._left(sound, fixed)

    def _left(self, sound: dict[str, Group], fixed: dict[str, str]) -> Layout:
        everything = len(sound) == len(self.layout.groups)
        return self.layout if everything else replace(self.layout, groups=sound, fixed=fixed)

    def passes(self, groups: dict[str, Group], fixed: dict[str, str]) -> bool:
        """Whether these pass together, at equal sizes too; if not, or with few channels, find out.

        What goes wrong where half of their units are removed is noted in ``seen``.
        """
        layout, self.seen = replace(self.layout, groups=groups, fixed={}), None
        masks = at_once(groups, self._sizes_that_stay(fixed))
        if masks is None:
            return False
        smaller: list[_Smaller] = []
        for mask in masks:
            tried = self._smaller(layout, mask)
            if isinstance(tried, _Fault):
                self.seen = None if smaller else tried
                return False
            smaller.append(tried)
        if self._pass_side_by_side(*smaller[:2]):
            return all(self._compared(each) is None for each in smaller[2:])
        self.seen = self._compared(smaller[0])
        return self.seen is None and all(self._compared(each) is None for each in smaller[1:])

    def _pass_side_by_side(self, first: _Smaller, second: _Smaller) -> bool:
        """Whether two halves agree with one masked network that holds both; if not, who knows."""
        try:
            given = first.dropped, second.dropped, first.lengths, self.lend
            with side_by_side(*given) as both:
                if both is None:
                    return False
                said = said_twice(both, self.inputs, first.lengths)
        except Exception:  # whatever a forward raises at so many rows
            return False
        pairs = zip(said, (first, second), strict=True)
        return all(alike(masked, small.said, small.rows) for masked, small in pairs)

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

    def _without_coincidences(self, sound: dict[str, Group], fixed: dict[str, str]) -> Layout:
        """The layout without groups that are wrong where as many channels are left as elsewhere.

        A network that adds a shortcut only if its shape fits would add one that it did not have.
        """
        while sound:
            tried = replace(self.layout, groups=sound, fixed={})
            stay = self._sizes_that_stay(fixed)
            faults = (self._fault(tried, m) for m in equal(sound, coincidences(sound, stay)))
            if (fault := next((fault for fault in faults if fault), None)) is None:
                break
            name = min(sound, key=lambda name: self._distance(sound[name], fault.place))
            why = "removing units does not do what masking them does where as many channels are "
            _stays(sound.pop(name), f"{why}left as elsewhere: {fault.what}", fixed)
        return self._left(sound, fixed)

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
        tried = itertools.chain(halves(groups), turned(groups))
        faults = (self._fault(layout, masks) for masks in tried)
        return next((fault for fault in faults if fault is not None), None)

    def _fault(self, layout: Layout, masks: dict[str, Tensor]) -> _Fault | None:
        tried = self._smaller(layout, masks)
        return tried if isinstance(tried, _Fault) else self._compared(tried)

    def _smaller(self, layout: Layout, masks: dict[str, Tensor]) -> _Smaller | _Fault:
        """What the smaller network says, or how it fails."""
        dropped = dropped_channels(layout, masks)
        kept, lengths, again = kept_channels(self.lend.modules, dropped), {}, self._again()
        try:
            with cut_for_a_while(kept, self.lend) as small:
                found = says(small, self.inputs, again, lengths)
        except Exception as error:  # whatever a forward raises at other sizes
            reached = getattr(error, "_reached", "")
            place = f" behind {reached!r}" if reached else ""
            what = f"the smaller network fails{place} ({in_short(error)})"
            return _Fault(what, reached, fails=True)
        rows = {name: sides.get("out") for name, sides in kept.items()}
        return _Smaller(dropped, rows, found, lengths, again.taken if again else set())

    def _compared(self, small: _Smaller) -> _Fault | None:
        """Where a smaller network says something else than the masked one."""
        silent = silenced_at(self.model, small.dropped, share=True)
        masked = says(silent, self.inputs, self._again(small.taken))
        if alike(masked, small.said, small.rows, self.jumping):
            return None
        if next(self._differences(masked, small.said, small.rows), None) is None:
            return None
        self.check_repeats()
        self.jumping |= jumping(
            silent, self.inputs, masked, small.said, lambda: self._again(small.taken)
        )
        return next(self._differences(masked, small.said, small.rows), None)

    def _differences(self, masked: Said, small: Said, rows: dict) -> Iterator[_Fault]:
        """Where a layer, or the network, says something else in the smaller network."""
        for name, tensors in masked.items():
            if name not in self.jumping:
                found, out = small.get(name, []), rows.get(name)
                if alike({name: tensors}, small, rows):
                    continue
                fault = _difference(name, tensors, found, self.dense.get(name, []), out)
                if fault is not None:
                    yield replace(fault, only_outputs=not name or name in self.choices.said)


def _difference(
    name: str, masked: list[Tensor], small: list[Tensor], dense: list[Tensor], rows: Tensor | None
) -> _Fault | None:
    """Where a layer (or, for ``""``, the network) says something else in the smaller network."""
    if len(small) != len(masked):
        return _Fault(f"it gives {len(small)} outputs instead of {len(masked)}", name)
    for at, (expected, found) in enumerate(zip(masked, small, strict=True)):
        whole = dense[at] if at < len(dense) else expected
        both = expected.ndim == found.ndim == 2
        fewer = both and positions_of(expected) != positions_of(found)
        if name and fewer:
            continue  # a layer that is applied to each channel for itself: fewer, as should be
        if (why := differs(expected, found, whole, rows)) is not None:
            return _Fault(f"{name!r}: {why}" if name else why, name)
    return None


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
    with torch.no_grad():
        if all(t[0].count_nonzero() or t.count_nonzero() for _, t in _weights(model)):
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
