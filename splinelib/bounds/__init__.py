"""Bounds on what networks can do in a box of inputs, of any dimension, and on how they differ.

Two networks of one layout (`pair`) are bounded together: their values, and the differences of
these. Forwards (`forwards`) by intervals (`ranges`), node by node; backwards (`backwards`) by
linear functions, for which an affine node is a map to be transposed (`maps`), and an activation
lies between lines and its change between planes (`relaxation`), or between windows' winners
(`pooling`). `change` is what callers ask: by how much the outputs differ, and which units are
always on or always off (`units`). `search` looks for changes that are as large as that. This
package uses `network` alone.
"""

from .change import METHODS, ChangeBound, change_bound
from .search import found_change
from .units import UnitBounds, unit_bounds

__all__ = ["METHODS", "ChangeBound", "UnitBounds", "change_bound", "found_change", "unit_bounds"]
