"""Every figure, table and widget of the book, in one colour language.

Functions take data and return an object that a notebook shows, on light and dark pages alike.
Every figure needs `alt`, the text that stands for it where it cannot be seen: say what the
picture shows, not what it is. `figure` is the way to draw something of your own in the same
colours. Colours are in `palette`, drawings as SVG in `svg`, what is drawn in `figures` and
`partitions`, `tables` and `widgets` beside them. Figures that are computed in the page are in
`live`, `ways`, `settling` and `costs`. This package uses no other package of the library, and no
other uses matplotlib or ipywidgets.
"""

from ..text import over_seeds
from .costs import Outcome, tickets
from .figures import (
    accuracy_against,
    curves,
    distance_matrix,
    images,
    layer_bars,
    legend,
    max_affine,
)
from .live import Live, explorer
from .palette import Palette
from .partitions import draw_partition, partition
from .settling import early_bird
from .svg import Figure, Row, beside, figure
from .tables import Cell, Table, folded, table
from .ways import stages
from .widgets import Still, scrub

__all__ = [
    "Cell",
    "Figure",
    "Live",
    "Outcome",
    "Palette",
    "Row",
    "Still",
    "Table",
    "accuracy_against",
    "beside",
    "curves",
    "distance_matrix",
    "draw_partition",
    "early_bird",
    "explorer",
    "figure",
    "folded",
    "images",
    "layer_bars",
    "legend",
    "max_affine",
    "over_seeds",
    "partition",
    "scrub",
    "stages",
    "table",
    "tickets",
]
