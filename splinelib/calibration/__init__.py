"""Least squares on what layers read and say while calibration inputs pass through a network.

`observing` runs the network and takes samples of rows, `layer_maps` says which linear map a layer
is, `im2col` turns its inputs and outputs into rows, `moments` and `regression` sum and fit rows
that come in chunks, of which `parts` are tried, `fourier` takes products with the patches of a
convolution where they are too many to hold. Where there are no inputs, `implied` says what a
network's own weights tell of them: `implied_rules` what each operation makes of them, `gaussian`
how activations change them, `neighbours` how alike neighbouring positions are, `padding` where a
kernel falls on zeros. This package uses `network`.
"""

from .im2col import columns, output_rows, patches, pixels, rows_shape, taps_first
from .moments import Moments
from .observing import (
    Outputs,
    RowSample,
    batches,
    channels_last,
    observe,
    rows_needed,
    sample_rows,
)
from .regression import Regression

__all__ = [
    "Moments",
    "Outputs",
    "Regression",
    "RowSample",
    "batches",
    "channels_last",
    "columns",
    "observe",
    "output_rows",
    "patches",
    "pixels",
    "rows_needed",
    "rows_shape",
    "sample_rows",
    "taps_first",
]
