"""What a network does when it runs: what it calls, its layers, its hyperplanes, its affine maps.

A model is taken as it is. It is run once and watched (`trace`), its activations are read as
breakpoints and slopes (`activations`), and what lies between two activations as affine maps
(`affine_parts`). From that follow the spline layers with their hyperplanes (`layers`) and the
affine map of one region (`affine`). What every run of a model needs, evaluation mode and sound
weights and inputs, is in `modes`; who listens to many modules does it by `hooks`; what a GPU does
again and again is captured as one graph (`capturing`). This package uses no other package of the
library.
"""

from .affine import affine_map
from .layers import SplineLayer, spline_layers

__all__ = ["SplineLayer", "affine_map", "spline_layers"]
