"""What a network and its training cost: operations, memory, time, energy.

`flops` counts operations, `footprint` measures a network on given inputs, `energy` reads the
meter of a GPU. This package uses `network`, to run models in evaluation mode.
"""

from .energy import Meter
from .flops import FlopCounter, FlopsLedger, forward_flops
from .footprint import Footprint, Measurement, latencies, measure, peak_memory

__all__ = [
    "FlopCounter",
    "FlopsLedger",
    "Footprint",
    "Measurement",
    "Meter",
    "forward_flops",
    "latencies",
    "measure",
    "peak_memory",
]
