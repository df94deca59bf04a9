"""How many regions a partition may have, and how much memory a step on the way may take."""

import math
import os

from ..errors import RegionLimitExceeded

MAX_REGIONS = 5_000_000
# So many lines may always run through cells in a layer: they are soon looked at.
MAX_LINES = 1 << 18
# So many pairs of lines may always cross in a layer: they fit into memory.
MAX_PAIRS = 1 << 24
# Numbers in an intermediate result that is made part by part.
BLOCK = 1 << 22


def check_regions(regions: int, max_regions: int, layer: int) -> None:
    """Raise `RegionLimitExceeded` if a layer makes more regions than allowed."""
    if regions > max_regions:
        raise RegionLimitExceeded(
            f"layer {layer} makes about {regions:,} regions or more and the limit is "
            f"{max_regions:,}: take a smaller domain, or raise max_regions"
        )


def check_lines(lines: int, max_regions: int, layer: int) -> None:
    """Raise `RegionLimitExceeded` if the lines of a layer run through cells too often.

    Lines that coincide make fewer regions than that; it is not known yet which do.
    """
    if lines > max(8 * max_regions, MAX_LINES):
        raise RegionLimitExceeded(
            f"the lines of layer {layer} run through regions {lines:,} times, far more than "
            f"{max_regions:,} regions need: take a smaller domain, or raise max_regions"
        )


def physical_memory() -> float:
    """Bytes of memory that this machine has; infinity where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return math.inf


def check_memory(numbers: int, regions: int, layer: int) -> None:
    """Raise `RegionLimitExceeded` if so many numbers of float64 take more than half of the memory.

    Without it the system would end the process, and say nothing.
    """
    if 8 * numbers > physical_memory() / 2:
        raise RegionLimitExceeded(
            f"layer {layer} makes {regions:,} regions, and the values of the network at all of "
            f"them would take {8 * numbers / 1e9:,.1f} GB at once, more than half of the memory of "
            "this machine: take a shorter way, or a smaller network"
        )


def check_pairs(pairs: int, max_regions: int, layer: int) -> None:
    """Raise `RegionLimitExceeded` if the lines of a layer cross too often.

    Pairs of lines make fewer regions only where many meet in one point; they take memory.
    """
    if pairs > max(8 * max_regions, MAX_PAIRS):
        raise RegionLimitExceeded(
            f"the lines of layer {layer} cross each other {pairs:,} times, far more than "
            f"{max_regions:,} regions need: take a smaller domain, or raise max_regions"
        )
