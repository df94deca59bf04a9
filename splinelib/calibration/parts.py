"""Parts of rows that a fit is tried on, and made without.

They are taken in stretches, since the rows of one image follow one another and are alike.
"""

import torch
from torch import Tensor

# Into how many stretches rows are divided, and those into how many parts; and rows up to which each
# part is tried, not one alone.
_STRETCHES, _PARTS, _ALL_TRIED = 40, 4, 1024


def parts_tried(count: int) -> range:
    """Which parts of so many rows fits are tried on, one at a time."""
    parts = min(_PARTS, count)
    return range(0 if count <= _ALL_TRIED else parts - 1, parts)


def in_part(part: int, rows: int, count: int, start: int = 0) -> Tensor:
    """Which of some rows, from one on, of so many are in the part that a fit is tried on."""
    stretch = max(1, count // _STRETCHES)
    return torch.arange(start, start + rows) // stretch % min(_PARTS, count) == part
