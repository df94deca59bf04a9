"""Lines and planes that bound an activation, and the change of one, from above and below.

An activation is affine between its breakpoints. So whatever slope a line has, how high it must lie
is decided at the ends of the range and at the breakpoints in it: the slope may be chosen, and
rounded, at will.

The change of an activation, ``phi'(z') - phi(z)``, depends on the pre-activation z of the first
network and on z' = z + d of the second. What is known of them, ranges of z, of z' and of d, is a
polygon of the (z, z')-plane with at most six sides. On it the change is affine between the lines
``z = breakpoint`` and ``z' = breakpoint``, so a plane ``alpha z + beta d + gamma`` lies above it if
it does so where these lines and the sides of the polygon meet, whatever alpha and beta are.

For ReLU and nothing known of z, that makes ``beta = d_high / (d_high - d_low)`` and
``gamma = -beta d_low``: ``relu(z + d) - relu(z)`` is never above ``max(d, 0)``, and this is never
above its chord.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..network.activations import Activation
from .ranges import EPS, Range

# The height of a plane is found with at most 8 roundings of terms that `_slack` adds up, at a
# corner whose coordinates are 2 roundings off: 16 in all.
_ROUNDINGS = 64


@dataclass(frozen=True)
class Plane:
    """``alpha * z + beta * d + gamma``, elementwise; of a line beta is zero."""

    alpha: Tensor
    beta: Tensor
    gamma: Tensor

    def at(self, z: Tensor, d: Tensor) -> Tensor:
        """Its height at a point."""
        return self.alpha * z + self.beta * d + self.gamma

    def where(self, kept: Tensor) -> "Plane":
        """The plane, and zero elsewhere."""
        return Plane(*(torch.where(kept, t, 0) for t in (self.alpha, self.beta, self.gamma)))


@dataclass(frozen=True)
class Corner:
    """A place where the height of planes is decided, and the value there."""

    z: Tensor
    d: Tensor
    value: Tensor
    counts: Tensor  # bool: whether it lies in the polygon


Planes = tuple[Plane, Plane]  # one above and one below


def unary(phi: Activation) -> Activation:
    """What is done to the difference of two operands: ``max(a, b) = b + relu(a - b)``."""
    if phi.kind == "maximum":
        return replace(phi, call=lambda z: z.clamp(min=0))
    return replace(phi, call=lambda z: z.clamp(max=0)) if phi.kind == "minimum" else phi


def lines(phi: Activation, z: Range) -> Planes:
    """Lines above and below an activation over the range of its pre-activation.

    Of the chord and the slopes of the pieces each side takes the line that leaves the smallest
    area, as CROWN and DeepPoly do for ReLU; of two that leave the same, the less steep.
    """
    phi = unary(phi)
    corners = _places(phi, z)
    width = z.high - z.low
    chord = torch.where(width > 0, (corners[1].value - corners[0].value) / width, 0)
    zero = torch.zeros_like(chord)
    slopes = [*slopes_met(phi, z.low, z.high), chord]
    found = [planes_over(slope, zero, corners) for slope in slopes]
    slack = _Slack(z.largest(), corners, steepest(phi), _jumps(phi, z.low))
    return best(found, z.centre(), zero, slack)


def value_range(phi: Activation, z: Range) -> Range:
    """Smallest and largest value of an activation."""
    return _heights(_places(phi, z), _jumps(phi, z.low))


def change_planes(phi: Activation, psi: Activation, z: Range, after: Range, d: Range) -> Planes:
    """Planes above and below ``psi(z + d) - phi(z)``.

    Parameters
    ----------
    phi, psi : Activation
        In the first network and in the second, of one kind.
    z, after, d : Range
        Of the pre-activation in the first network, of that in the second, of their difference.
    """
    phi, psi = unary(phi), unary(psi)
    corners = _corners(phi, psi, z, after, d)
    found = [
        tuple(planes_over(alpha, beta, corners)[side] for side, (alpha, beta) in enumerate(pair))
        for pair in _slopes_of_change(phi, psi, z, after, d)
    ]
    most = z.largest() + after.largest() + d.largest()
    steep = torch.maximum(steepest(phi), steepest(psi))
    slack = _Slack(most, corners, steep, _jumps(phi, z.low) + _jumps(psi, z.low))
    above, below = best(found, z.centre(), d.centre(), slack)
    moves = ~_still(phi, psi, d)
    return above.where(moves), below.where(moves)


def change_range(phi: Activation, psi: Activation, z: Range, after: Range, d: Range) -> Range:
    """Smallest and largest change."""
    found = _heights(_corners(phi, psi, z, after, d), _jumps(phi, z.low) + _jumps(psi, z.low))
    moves = ~_still(phi, psi, d)
    return Range(torch.where(moves, found.low, 0), torch.where(moves, found.high, 0))


def slopes_met(phi: Activation, low: Tensor, high: Tensor) -> Planes:
    """Smallest and largest slope of the pieces that a range meets."""
    ends = [-torch.inf, *phi.breakpoints, torch.inf]
    least, most = torch.full_like(low, torch.inf), torch.full_like(low, -torch.inf)
    for k, slope in enumerate(phi.slopes):
        slope = torch.as_tensor(slope, dtype=low.dtype).expand_as(low)
        met = (low <= ends[k + 1]) & (high >= ends[k])
        least = torch.where(met, torch.minimum(least, slope), least)
        most = torch.where(met, torch.maximum(most, slope), most)
    return least, most


def planes_over(alpha: Tensor, beta: Tensor, corners: list[Corner]) -> Planes:
    """The lowest plane above all corners, and the highest below them."""
    heights = [c.value - alpha * c.z - beta * c.d for c in corners]
    return (
        Plane(alpha, beta, _extreme(heights, corners, largest=True)),
        Plane(alpha, beta, _extreme(heights, corners, largest=False)),
    )


def best(found: list[Planes], z: Tensor, d: Tensor, slack) -> Planes:
    """Above the plane that is lowest in the middle, below the one that is highest."""
    above, below = found[0]
    for high, low in found[1:]:
        above = _chosen(high.at(z, d) < above.at(z, d), high, above)
        below = _chosen(low.at(z, d) > below.at(z, d), low, below)
    return (
        Plane(above.alpha, above.beta, above.gamma + slack.of(above)),
        Plane(below.alpha, below.beta, below.gamma - slack.of(below)),
    )


class _Slack:
    """How far rounding may have taken the height of a plane."""

    def __init__(self, most: Tensor, corners: list[Corner], steepest: Tensor, jumps: Tensor):
        self._most, self._steepest, self._jumps = most, steepest, jumps
        self._values = torch.stack([c.value.abs() for c in corners]).amax(0)

    def of(self, plane: Plane) -> Tensor:
        slopes = plane.alpha.abs() + plane.beta.abs() + self._steepest
        return _ROUNDINGS * EPS * (slopes * self._most + self._values) + self._jumps


def _chosen(better: Tensor, one: Plane, other: Plane) -> Plane:
    pairs = zip(
        (one.alpha, one.beta, one.gamma), (other.alpha, other.beta, other.gamma), strict=True
    )
    return Plane(*(torch.where(better, a, b) for a, b in pairs))


def _extreme(values: list[Tensor], corners: list[Corner], largest: bool) -> Tensor:
    ignored = -torch.inf if largest else torch.inf
    stacked = torch.stack(
        [torch.where(c.counts, v, ignored) for v, c in zip(values, corners, strict=True)]
    )
    return stacked.amax(0) if largest else stacked.amin(0)


def _heights(corners: list[Corner], jumps: Tensor) -> Range:
    values = [c.value for c in corners]
    size = torch.stack([v.abs() for v in values]).amax(0)
    slack = _ROUNDINGS * EPS * size + jumps
    return Range(
        _extreme(values, corners, largest=False) - slack,
        _extreme(values, corners, largest=True) + slack,
    )


def _places(phi: Activation, z: Range) -> list[Corner]:
    """The ends of a range, and the breakpoints in it."""
    places = [z.low, z.high, *(torch.full_like(z.low, b) for b in phi.breakpoints)]
    places = [torch.minimum(torch.maximum(p, z.low), z.high) for p in places]
    zero, always = torch.zeros_like(z.low), torch.ones_like(z.low, dtype=torch.bool)
    return [Corner(p, zero, phi.call(p), always) for p in places]


def _corners(phi: Activation, psi: Activation, z: Range, after: Range, d: Range) -> list[Corner]:
    """Where breakpoints and the sides of the polygon meet, in the (z, z')-plane."""
    found = []
    tolerance = 8 * EPS * (z.largest() + after.largest() + d.largest())

    def add(here: Tensor, there: Tensor, counts: Tensor) -> None:
        value = psi.call(there) - phi.call(here)
        found.append(Corner(here, there - here, value, counts))

    for here in (c.z for c in _places(phi, z)):
        low = torch.maximum(after.low, here + d.low)
        high = torch.minimum(after.high, here + d.high)
        counts = low <= high + tolerance
        for there in (low, high, *psi.breakpoints):
            there = torch.as_tensor(there, dtype=low.dtype).expand_as(low)
            add(here, torch.maximum(torch.minimum(there, high), low), counts)
    for there in (c.z for c in _places(psi, after)):
        low = torch.maximum(z.low, there - d.high)
        high = torch.minimum(z.high, there - d.low)
        counts = low <= high + tolerance
        add(low, there, counts)
        add(high, there, counts)
    return found


def _slopes_of_change(
    phi: Activation, psi: Activation, z: Range, after: Range, d: Range
) -> list[tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]:
    """Slopes (alpha, beta) that are tried, for planes above and below."""
    least, most = slopes_met(
        phi, torch.minimum(z.low, after.low), torch.maximum(z.high, after.high)
    )
    zero, width = torch.zeros_like(d.low), d.high - d.low
    share = torch.where(width > 0, d.high.clamp(min=0) / width, (d.high > 0).to(width)).clamp(0, 1)
    # the chords of max(least d, most d) and of min(least d, most d)
    rising = torch.where(d.low >= 0, most, torch.where(d.high <= 0, least, 0))
    falling = torch.where(d.low >= 0, least, torch.where(d.high <= 0, most, 0))
    mixed = (d.low < 0) & (d.high > 0)
    rising = torch.where(mixed, share * most + (1 - share) * least, rising)
    falling = torch.where(mixed, share * least + (1 - share) * most, falling)
    (up, down), (up_after, down_after) = lines(phi, z), lines(psi, after)
    return [
        ((zero, rising), (zero, falling)),
        # what bounds of each network by itself give
        (
            (up_after.alpha - down.alpha, up_after.alpha),
            (down_after.alpha - up.alpha, down_after.alpha),
        ),
    ]


def _still(phi: Activation, psi: Activation, d: Range) -> Tensor:
    """Where nothing changes: the same activation of the same value."""
    still = (d.low == 0) & (d.high == 0)
    if phi.breakpoints != psi.breakpoints:
        return still & False
    for one, two in zip(phi.slopes, psi.slopes, strict=True):
        one, two = (torch.as_tensor(slope, dtype=torch.float64) for slope in (one, two))
        still = still & (one == two)
    return still


def steepest(phi: Activation) -> Tensor:
    """The largest absolute slope of its pieces."""
    sizes = [torch.as_tensor(s, dtype=torch.float64).abs() for s in phi.slopes]
    return torch.stack(torch.broadcast_tensors(*sizes)).amax(0)


def _jumps(phi: Activation, like: Tensor) -> Tensor:
    """By how much an activation that was written by hand misses itself at its breakpoints."""
    total = torch.zeros_like(like)
    for b in phi.breakpoints:
        at = torch.full_like(like, b)
        beyond = torch.nextafter(at, torch.full_like(like, torch.inf))
        total = total + (phi.call(beyond) - phi.call(at)).abs()
    return torch.where(total > 1e-300, total, 0)  # else the step itself
