"""Slices through a network on planes of three images each: pictures, ways, counts, one page."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from .. import plotting
from ..errors import RegionLimitExceeded
from ..geometry.boundary import crossed_edges, turns
from ..geometry.partition import Partition, partition
from ..geometry.plane import Plane
from ..geometry.segments import Segment, segment
from ..plotting.pages import save_page
from ..plotting.svg import Figure
from ..plotting.tables import Table

MARGIN = 0.15  # around the three images, as a share of their extent
MAX_REGIONS = 250_000
_HALVINGS = 24


@dataclass(frozen=True)
class Slice:
    """The partition of a plane through three images, and the ways between them.

    Attributes
    ----------
    part : Partition
        Coordinates are distances in input space; the first image is (0, 0).
    places : ndarray of float64, shape (3, 2)
        The images in them.
    ways : dict of (int, int) to Segment
        From one image to another, 0 to 2.
    names : list of str
    whole : bool
        Whether all three images lie in the part of the plane that was cut.
    """

    part: Partition
    places: np.ndarray
    ways: dict[tuple[int, int], Segment]
    names: list[str]
    whole: bool

    @property
    def radius(self) -> float:
        """A tenth of the shortest way, or of the part of the plane that was cut."""
        sides = [*map(np.ptp, self.part.domain), *(way.length for way in self.ways.values())]
        return min(sides) / 10


def slice_through(
    model: nn.Module,
    images: Tensor,
    names: Sequence[str] = ("1", "2", "3"),
    max_regions: int = MAX_REGIONS,
) -> Slice:
    """Cut the plane of three images, and follow the ways between them.

    Where the rectangle around the images holds more regions than allowed, it is halved around the
    first image until it does not.

    Parameters
    ----------
    model : torch.nn.Module
    images : Tensor, shape (3, ...)
    names : sequence of str
    max_regions : int

    Raises
    ------
    ValueError
        If the images span no plane; and the errors of `partition` and `segment`.
    """
    try:
        plane = Plane.orthonormal(*images)
    except ValueError as error:
        raise ValueError(f"{', '.join(names)}: {error}") from error
    places = plane.coordinates(images)
    low, high = places.min(0), places.max(0)
    room = MARGIN * (high - low).max()
    low, high, whole = low - room, high + room, True
    for _ in range(_HALVINGS):
        try:
            part = partition(model, tuple(zip(low, high, strict=True)), plane, max_regions)
            break
        except RegionLimitExceeded:
            low, high, whole = low / 2, high / 2, False
    else:
        raise RegionLimitExceeded(
            f"{names[0]}: even a small part of its plane holds more than {max_regions:,} regions"
        )
    inside = ((places >= low) & (places <= high)).all(1)
    pairs = [(i, j) for i in range(3) for j in range(3) if i < j]
    ways = {(i, j): segment(model, images[i], images[j]) for i, j in pairs}
    return Slice(part, places, ways, list(names), whole or bool(inside.all()))


def picture(found: Slice, title: str | None = None) -> Figure:
    """The partition, the boundary between the classes, and the three images as points."""
    part, lines = found.part, len(found.part.decision_boundary("top"))

    def draw(ax, palette) -> None:
        classes = "top" if part.outputs.shape[1] > 1 else None
        plotting.draw_partition(ax, palette, part, classes=classes)
        for number, (x, y) in enumerate(found.places, start=1):
            ax.plot(x, y, "o", color=palette.ink, markersize=6)
            ax.annotate(f"{number}", (x, y), (7, 5), textcoords="offset points", color=palette.ink)
        ax.set(title=title or "", xlabel="distance along", ylabel="distance across")

    alt = (
        f"The plane through {', '.join(found.names)}: {len(part):,} regions, and the decision "
        f"boundary in {lines:,} pieces."
    )
    return plotting.figure(draw, alt, size=(5.6, 5.2))


def ways_table(found: Slice) -> Table:
    """Regions crossed, classes met and the distance to the boundary on the way between images."""
    rows = []
    for (i, j), way in found.ways.items():
        shares, classes = way.decisions
        first = way.boundary_distance
        rows.append(
            [
                f"{i + 1} to {j + 1}",
                way.length,
                len(way),
                " → ".join(f"{c}" for c in classes),
                first if np.isfinite(first) else "none met",
                (1 - shares[-1]) * way.length if len(shares) else "none met",
            ]
        )
    return plotting.table(
        rows,
        ["way", "length", "regions", "classes", "boundary from start", "boundary from end"],
        "Straight ways between the images. Classes are numbers of outputs, in the order met",
        ["{}", "{:.3g}", "{:,}", "{}", "{:.3g}", "{:.3g}"],
    )


def layers_table(found: Slice) -> Table:
    """For each layer the regions there are up to it, and its part in the boundary's turning."""
    edges = crossed_edges(found.part)
    angles = turns(found.part, edges) if len(edges) else np.empty(0)
    layers = found.part.edge_source[edges, 0]
    rows = [
        [name, count, int((layers == k).sum()), float(np.degrees(angles[layers == k].sum()))]
        for k, (name, count) in enumerate(found.part.regions_after().items())
    ]
    return plotting.table(
        rows,
        ["layer", "regions up to it", "bends of the boundary", "turning, degrees"],
        "Which layers cut the plane, and whose lines turn the decision boundary",
        ["{}", "{:,}", "{:,}", "{:,.0f}"],
    )


def around_table(found: Slice) -> Table:
    """Regions that a disc around each image meets."""
    (x0, x1), (y0, y1) = found.part.domain
    rows = []
    for name, (x, y) in zip(found.names, found.places, strict=True):
        there = x0 <= x <= x1 and y0 <= y <= y1
        count = (
            int(found.part.local_complexity((x, y), [found.radius])[0]) if there else "not shown"
        )
        rows.append([name, count])
    return plotting.table(
        rows,
        ["image", "regions"],
        f"Regions within a distance of {found.radius:.3g} on this plane",
        ["{}", "{:,}"],
    )


def thumbnails(images: Tensor, names: Sequence[str]) -> Figure | None:
    """The three images; None where inputs are none."""
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        return None
    low, high = images.amin(), images.amax()
    shown = ((images - low) / (high - low)).permute(0, 2, 3, 1).squeeze(-1).numpy()
    titles = [f"{number}" for number in range(1, len(names) + 1)]
    return plotting.images(shown, f"The images {', '.join(names)}.", titles=titles, columns=3)


def save_gallery(
    path: str | os.PathLike,
    model: nn.Module,
    images: Tensor,
    names: Sequence[str],
    slices: int = 3,
    max_regions: int = MAX_REGIONS,
    normalise=None,
) -> list[Slice]:
    """Write one page with a slice for each three images, in order.

    Parameters
    ----------
    path : path
        Of the page.
    model : torch.nn.Module
    images : Tensor, shape (N, ...)
        N at least 3; what is left over of three is not shown.
    names : sequence of str
    slices : int
        At most so many.
    max_regions : int
        Of each; see `slice_through`.
    normalise : callable, optional
        Applied to images before the network sees them.

    Returns
    -------
    list of Slice

    Raises
    ------
    ValueError
        For fewer than three images, or three that span no plane; for less than one slice or region.
    """
    if len(images) < 3:
        raise ValueError(f"a plane goes through three images; there are {len(images)}")
    if slices < 1:
        raise ValueError(f"there should be at least one slice, not {slices}")
    if max_regions < 1:
        raise ValueError(f"a plane has at least one region, and max_regions is {max_regions}")
    inputs = images if normalise is None else normalise(images)
    parts: list = []
    found = []
    for start in range(0, min(3 * slices, len(images) - 2), 3):
        three = slice(start, start + 3)
        one = slice_through(model, inputs[three], names[three], max_regions)
        found.append(one)
        parts += [f"# {', '.join(one.names)}", _words(one), thumbnails(images[three], one.names)]
        parts += [picture(one), ways_table(one), layers_table(one), around_table(one)]
    title = f"Slices through a network of {len(found[0].part.layers)} layers"
    save_page(path, title, [part for part in parts if part is not None])
    return found


def _words(found: Slice) -> str:
    part, (i, j) = found.part, min(found.ways, key=lambda pair: found.ways[pair].boundary_distance)
    shown = (
        "The rectangle holds all three images"
        if found.whole
        else "The rectangle around all three holds too many regions: a part around the first is "
        "shown"
    )
    distance = found.ways[i, j].boundary_distance
    near = (
        f"from image {i + 1} the boundary is met after {distance:.3g} on the way to {j + 1}"
        if np.isfinite(distance)
        else "on none of the three ways does the class change"
    )
    return f"{shown}; it has {len(part):,} regions. Of the three ways, {near}."
