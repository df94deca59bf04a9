"""splinelib: deep networks as max-affine splines, and what that says about pruning them.

The way through: data -> model -> training -> codes -> early bird -> redundancy -> masks ->
smaller model -> training -> record -> figure. Names below load their module on first use.
"""

import importlib

# Loaded at once: a lazy name that is also a module's would turn into the module when some
# other part of the library imports that module first.
from .partition import Partition, Plane, partition

_HOMES = {
    "errors": [
        "DamagedFile",
        "NotPiecewiseAffine",
        "PruningError",
        "RegionLimitExceeded",
        "SplineError",
        "UndecidablePartition",
    ],
    "layers": ["spline_layers", "SplineLayer"],
    "codes": ["region_codes", "RegionCodes"],
    "affine": ["affine_map"],
    "comparison": ["Difference", "difference"],
    "early_bird": ["EarlyBird", "MaskEarlyBird"],
    "redundancy": ["hyperplane_distance"],
    "groups": ["find_groups"],
    "criteria": ["CRITERIA"],
    "importance": ["SplineImportance"],
    "pruning": [
        "Pruner",
        "apply_masks",
        "attach_masks",
        "common_residual",
        "prune",
        "score",
        "select",
        "shrink",
    ],
    "saving": ["load_pruned", "rewind", "save_pruned"],
}
_MODULES = [
    "codes",
    "early_bird",
    "data",
    "models",
    "training",
    "criteria",
    "experiments",
    "footprint",
    "oneshot",
    "sweeps",
    "plotting",
    "widgets",
    "redundancy",
]
_WHERE = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["Partition", "Plane", "partition", *_WHERE, *_MODULES]
__version__ = "0.1.0"


def __getattr__(name: str):
    if name in _WHERE:
        value = getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
    elif name in _MODULES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # a function named like its module (partition) wins from now on
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
