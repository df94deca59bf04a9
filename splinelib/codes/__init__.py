"""Region codes: which side of every hyperplane an input lies on, one bit per unit.

A model runs on any number of inputs, and the signs of its pre-activations are packed as they are
computed (`extraction` on `running`, `packing` and `bits`); again and again on the same inputs, a
GPU replays that (`probe`). The result is a `RegionCodes` (`regioncodes`), which counts regions and
measures distances, on one process or gathered from several (`gathering`). Codes of one epoch after
the other say when the partition has settled (`early_bird`); `lines` counts the units that tell
inputs apart, `neighbourhoods` those that cut the surroundings of an input, `clusters` groups inputs
by their codes. This package uses `network`.
"""

from .clusters import code_clusters
from .early_bird import EarlyBird, MaskEarlyBird
from .extraction import region_codes
from .gathering import gather
from .lines import distinct_lines
from .neighbourhoods import cutting_units
from .probe import Probe
from .regioncodes import RegionCodes, distance_matrix

__all__ = [
    "EarlyBird",
    "MaskEarlyBird",
    "Probe",
    "RegionCodes",
    "code_clusters",
    "cutting_units",
    "distance_matrix",
    "distinct_lines",
    "gather",
    "region_codes",
]
