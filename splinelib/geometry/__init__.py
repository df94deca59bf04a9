"""The exact partition of a plane through input space, and the exact difference of two networks.

A network is run once on a rectangle of a plane, layer by layer. A mesh of convex cells grows with
it: each layer cuts the cells along the zero lines of its units, so that in the end the network is
affine on every cell. This package uses `network` and `codes`.

Read it from the bottom up: `mesh`, `signs` and `rounding`; then `cutting`, with `chords` and
`crossings`; then `propagation`, which sends the `state` of a run through `affine_layers`,
`pointwise` and `pooling`; and on top of these `partition` and `difference`, which users call,
with `boundary`, `locating` and `fitting`. On a straight way there is one dimension less: `bending`
puts points where units bend, and `segments` is what users call.
"""

from .difference import Difference
from .partition import Partition, Plane
from .segments import Segment

__all__ = ["Difference", "Partition", "Plane", "Segment"]
