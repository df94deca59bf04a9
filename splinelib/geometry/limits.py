"""How many regions a partition may have, and how much memory a step on the way may take."""

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


def check_pairs(pairs: int, max_regions: int, layer: int) -> None:
    """Raise `RegionLimitExceeded` if the lines of a layer cross too often.

    Pairs of lines make fewer regions only where many meet in one point; they take memory.
    """
    if pairs > max(8 * max_regions, MAX_PAIRS):
        raise RegionLimitExceeded(
            f"the lines of layer {layer} cross each other {pairs:,} times, far more than "
            f"{max_regions:,} regions need: take a smaller domain, or raise max_regions"
        )
