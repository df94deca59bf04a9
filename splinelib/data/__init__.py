"""Images with their labels, as tensors in memory.

`load` gives a `Dataset` by name (`loading`, `folders`); a dataset normalises, augments (`crops`)
and splits itself (`dataset`). Problems in the plane that are small enough to draw are in `toys`,
sounds whose pitch is known in `sounds`, the inputs whose region codes are watched in training in
`probes`. This package uses no other package of the library.
"""

from .caches import cache_folder
from .crops import augment
from .dataset import Dataset
from .loading import CIFAR_MEAN, CIFAR_STD, NAMES, load, public_name
from .probes import canvas
from .sounds import tones
from .toys import toy

__all__ = [
    "CIFAR_MEAN",
    "CIFAR_STD",
    "NAMES",
    "Dataset",
    "augment",
    "cache_folder",
    "canvas",
    "load",
    "public_name",
    "tones",
    "toy",
]
