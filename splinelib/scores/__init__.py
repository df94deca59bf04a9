"""What a unit is worth.

All criteria stand on one page, `criteria`, each after its source. They look at the network
through a `context`; what takes more than a line lies in `hyperplanes` (distances of the lines
that units draw) and `least_squares` (what the other units can rebuild), both of which give a
greedy `removal`. What a PCA of the lines may hide is in `truncation`. `importance` is the spline
criterion for torch-pruning. This package uses `network`, `channels` and `calibration`.
"""

from .criteria import CRITERIA, Criterion
from .hyperplanes import hyperplane_distance

__all__ = ["CRITERIA", "Criterion", "hyperplane_distance"]
