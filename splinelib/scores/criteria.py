"""Criteria: what a unit is worth, each after its source.

A criterion is a function ``criterion(context, group) -> (U,)``: a score for each unit of one
group, higher being kept longer, or None for a group that it cannot judge. `CRITERIA` names
those that `score` and `prune` know; users add theirs. Beside its name each says what it needs and
where it is from.
"""

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from ..channels.layout import Group
from ..text import check_choice
from .context import Context
from .hyperplanes import RHO, redundancy_order
from .least_squares import least_damage_order, least_squares_order
from .removal import prices

Criterion = Callable[[Context, Group], Tensor | None]

CRITERIA: dict[str, Criterion] = {}

# What a criterion may look at: the weights that make a unit, the scale of its batch norm, the
# weights that read it, calibration inputs, and their classes.
LOOKS_AT = ("incoming", "batch norm", "outgoing", "images", "labels")


@dataclass(frozen=True)
class Facts:
    """What there is to know of a criterion before it is asked; see `facts`.

    Attributes
    ----------
    looks_at : frozenset of str
        Some of `LOOKS_AT`.
    source : str
        Where it is from; empty if nobody said.
    compares_lines : bool
        Whether it compares the lines along which activations bend. It is not asked about heads of
        attention, which draw none.
    """

    looks_at: frozenset[str] = frozenset()
    source: str = ""
    compares_lines: bool = False

    @property
    def needs_data(self) -> bool:
        """Whether calibration inputs have to be given."""
        return bool(self.looks_at & {"images", "labels"})

    @property
    def needs_labels(self) -> bool:
        """Whether their classes have to be given too."""
        return "labels" in self.looks_at

    @property
    def needs_readers(self) -> bool:
        """Whether it asks what the layers that read a unit see of the inputs."""
        return {"outgoing", "images"} <= self.looks_at


def register(
    name: str, looks_at: Collection[str], source: str, compares_lines: bool = False
) -> Callable:
    """Put the criterion that is defined below into `CRITERIA`.

    Parameters
    ----------
    name : str
    looks_at, source, compares_lines
        As in `Facts`.

    Raises
    ------
    ValueError
        For something that no criterion can look at.

    Examples
    --------
    >>> @register("newest first", looks_at=[], source="ours")
    ... def newest_first(context, group):
    ...     return -torch.arange(group.units, dtype=torch.float64)
    >>> facts(CRITERIA.pop("newest first")).source
    'ours'
    """
    for one in looks_at:
        check_choice("thing to look at", one, LOOKS_AT)

    def put(criterion: Criterion) -> Criterion:
        criterion.facts = Facts(frozenset(looks_at), source, compares_lines)
        CRITERIA[name] = criterion
        return criterion

    return put


def facts(criterion: Criterion) -> Facts:
    """What was said of a criterion when it was registered.

    Of one with other settings (`functools.partial`) it is what was said of the original, and
    nothing of a function that was put into `CRITERIA` by hand.
    """
    while isinstance(criterion, functools.partial):
        criterion = criterion.func
    return getattr(criterion, "facts", Facts())


@register(
    "bend",
    looks_at=["incoming", "batch norm", "outgoing"],
    source="ours, from the paper's picture: a line is worth the bend that no other line can draw",
)
def bend(context: Context, group: Group) -> Tensor:
    """What the layers that read a unit lose when it goes, if the others take over what they can.

    A unit bends the function across its line, by the length of what makes it times the length of
    what reads it. When it goes, the units that stay take over: a twin, whose line is the same and
    which is on at the same side, all of it; a mirror image, on at the other side, nothing but a
    mean; the others, as far as what they say is like what it said. How much alike two units are
    follows from the angle between their lines and from their offsets, without an input
    (`gaussian.after_activation`). The score is what a unit adds, in a greedy removal, to the part
    of the next layers' outputs that is lost, as a share of those outputs (`removal.prices`): `lsq`
    on moments that the weights imply in place of those of data. So one threshold for the whole
    network takes from each group where least is lost. The compensation ``"merge"`` is how the
    others take over. Like `lsq` it takes of the order of U^3 steps for a group of U units.

    Of units that no activation bends, such as heads of attention, the weights imply how large they
    are, and not how alike: they go by the length of what makes them times that of what reads them.
    """
    return prices(least_squares_order(context.implied_readers(group), group.units))


@register(
    "spline",
    looks_at=["incoming", "batch norm"],
    source="ours, after You et al., TMLR 2022, whose formula was not released",
    compares_lines=True,
)
def spline(
    context: Context,
    group: Group,
    rho: float = RHO,
    components: int | float | None = None,
    accuracy: float | None = None,
) -> Tensor:
    """Distance at which a unit's hyperplane merges into another's; see `redundancy_order`.

    The choices, all ours, the paper's code having never been released:

    - Of a close pair the unit with the smaller norm goes, batch norm folded in: it bends the
      function less across the line that both draw. Of equals, the later one.
    - Layers are compared by the distance itself: angles have no unit, and offsets are measured
      in units of their root mean square in the group, whatever the scale of its inputs.
    - Normals are reduced by PCA first, to a fixed number of directions or to those that hold a
      share of the spectrum (`components`); what that does to distances, `hyperplanes.pca` says.
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
    accuracy : float in (0, 1), optional
        In place of `components`: as many as it takes for no cosine of two units to be wrong by
        more (`truncation.components_for`, by what is left out of units).

    Examples
    --------
    Another setting is another criterion:

    >>> import functools, splinelib as sl
    >>> half = functools.partial(sl.criteria.spline, rho=0.5, components=0.9)
    >>> sl.CRITERIA["spline, 90 % of the spectrum"] = half
    >>> del sl.CRITERIA["spline, 90 % of the spectrum"]
    """
    return context.merging_distance(group, rho, components, accuracy)


@register("codes", looks_at=["incoming", "images"], source="ours", compares_lines=True)
def codes(context: Context, group: Group) -> Tensor | None:
    """Share of the data on which a unit's code differs from its closest unit's.

    Greedy, as `spline` is, but the boundaries are compared where the data lie: two units that
    are active on the same inputs and positions, or on opposite ones, cut the data alike. A unit
    that is always on or always off cuts nothing, and goes at no cost. Of a pair, the unit whose
    incoming weights have the smaller norm goes.
    """
    bits = context.activity(group)
    if bits is None:  # nothing is known of units that no input reaches
        return None
    rows = _in_range(context.rows(group))
    strength = torch.stack([each.norm(dim=1) for each in rows]).sum(0).cpu()
    strength = strength * bits.any(1)  # beside one that never changes, any other unit stays
    # 1 - |cos| of vectors of +-1 is twice the share of places where they differ, or agree if
    # that is less.
    order = redundancy_order(bits, bits.new_zeros(len(bits)), rho=0.0, strength=strength)
    return order.cost / 2


@register(
    "lsq",
    looks_at=["outgoing", "images"],
    source="ours, after optimal brain compression, Frantar and Alistarh, NeurIPS 2022",
)
def lsq(context: Context, group: Group) -> Tensor | None:
    """What a unit adds to the least-squares residual of a greedy removal.

    The residual is the part of the next layers' outputs that the kept units cannot reproduce, as
    a share of those outputs (`least_squares_order`). One threshold for the whole network
    makes the sum over its groups least for the number of units that go (`prices`). A group whose
    next layers read no calibration input is left whole. Of a unit that is read in several columns,
    such as a head of attention, all columns go at once: what can the other heads rebuild?
    """
    readers = context.readers(group)
    return prices(least_squares_order(readers, group.units)) if readers else None


@register("magnitude", looks_at=["incoming"], source="Li et al., ICLR 2017")
def magnitude(context: Context, group: Group) -> Tensor:
    """L1 norm of a unit's incoming weights (Li et al., ICLR 2017).

    As a share of the group's mean, so that layers can be compared; where several layers
    make the unit, the mean of their shares.
    """
    return _mean_share(context, group, lambda rows: rows.abs().sum(1))


@register("l2", looks_at=["incoming"], source="Li et al., ICLR 2017, with the Euclidean norm")
def l2(context: Context, group: Group) -> Tensor:
    """L2 norm of a unit's incoming weights, as a share of the group's mean; see `magnitude`."""
    return _mean_share(context, group, lambda rows: rows.norm(dim=1))


@register("bn", looks_at=["batch norm"], source="network slimming, Liu et al., ICCV 2017")
def bn(context: Context, group: Group) -> Tensor | None:
    """Batch-norm scale |gamma| (network slimming, Liu et al., ICCV 2017).

    With one threshold for the whole network it draws Early-Bird Tickets (You et al., ICLR
    2020). The mean over the batch norms that a unit passes. Groups without any are left whole.
    """
    scales = context.batch_norms(group)
    return torch.stack(scales).mean(0) if scales else None


@register("fpgm", looks_at=["incoming"], source="He et al., CVPR 2019")
def fpgm(context: Context, group: Group) -> Tensor:
    """Distance to the geometric median, signs kept (He et al., CVPR 2019).

    The sum of a filter's Euclidean distances to all filters of its layer, as a share of the
    group's mean; where several layers make the unit, the mean of their shares.
    """
    return _mean_share(context, group, lambda rows: torch.cdist(rows, rows).sum(1))


@register("thinet", looks_at=["outgoing", "images"], source="ThiNet, Luo, Wu and Lin, ICCV 2017")
def thinet(context: Context, group: Group) -> Tensor | None:
    """What the next layers lose when a unit goes with those below it (ThiNet, ICCV 2017).

    Greedy: the set of removed units grows by the one that keeps the squared norm of their
    summed contribution to the next layer's output smallest (Luo, Wu and Lin, eq. 6), the
    other weights staying as they are. The score is that squared norm as a share of the
    output's, so that layers can be compared. A group whose next layers read no calibration
    input is left whole.
    """
    readers = context.readers(group)
    return least_damage_order(readers, group.units).cost if readers else None


@register(
    "snip",
    looks_at=["incoming", "images", "labels"],
    source="SNIP, Lee, Ajanthan and Torr, ICLR 2019",
)
def snip(context: Context, group: Group) -> Tensor:
    """Connection sensitivity ``|g * w|`` summed over a unit's incoming weights.

    SNIP (Lee, Ajanthan and Torr, ICLR 2019, eq. 6) with whole units in place of single weights.
    Its authors score at initialisation; this scores the network as it is. Needs labels.
    """
    return torch.stack([rows.sum(1) for rows in context.sensitivities(group)]).mean(0)


@register("random", looks_at=[], source="chance")
def random(context: Context, group: Group) -> Tensor:
    """Uniform random numbers from the context's seed."""
    return torch.rand(group.units, generator=context.generator, dtype=torch.float32)


def _in_range(layers: list[Tensor]) -> list[Tensor]:
    """Rows of weights whose squares neither overflow nor vanish, but for one factor of all."""
    largest = max(float(rows.abs().max()) for rows in layers)
    if 1e-12 < largest < 1e12 or largest == 0:
        return layers
    return [(rows.double() / largest).to(rows.dtype) for rows in layers]


def _mean_share(context: Context, group: Group, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """What is measured of each unit's rows, divided by its mean; the mean over producing layers."""
    values = [measure(*_in_range([rows])) for rows in context.rows(group)]
    floor = torch.finfo(values[0].dtype).tiny
    return torch.stack([value / value.mean().clamp(min=floor) for value in values]).mean(0)
