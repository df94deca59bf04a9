"""splinelib: deep networks as max-affine splines, and what that says about pruning them.

The way through: data -> models -> training -> codes -> scores -> pruning -> experiments ->
exhibits, on what a network does when it runs (`network`), its exact `geometry`, its `bounds` in a
box, its `channels`, least squares (`calibration`) and what it costs (`cost`). Names below load
their module on first use.
"""

import importlib

from . import former

_HOMES = {
    "errors": [
        "DamagedFile",
        "NotPiecewiseAffine",
        "PruningError",
        "RegionLimitExceeded",
        "SplineError",
        "UndecidablePartition",
    ],
    "network.layers": ["spline_layers", "SplineLayer"],
    "network.affine": ["affine_map"],
    "codes.extraction": ["region_codes"],
    "codes.regioncodes": ["RegionCodes"],
    "codes.early_bird": ["EarlyBird", "MaskEarlyBird"],
    "geometry.plane": ["Plane"],
    "geometry.partition": ["Partition", "partition"],
    "geometry.segments": ["Segment", "segment"],
    "geometry.difference": ["Difference", "difference"],
    "channels.groups": ["find_groups"],
    "channels.saving": ["load_pruned", "rewind", "save_pruned"],
    "scores.criteria": ["CRITERIA"],
    "scores.hyperplanes": ["hyperplane_distance"],
    "scores.importance": ["SplineImportance"],
    "pruning.bounding": ["pruning_bound"],
    "pruning.masking": ["apply_masks", "attach_masks", "shrink"],
    "pruning.pruner": ["Pruner", "prune"],
    "pruning.scoring": ["common_residual", "score"],
    "pruning.selection": ["select"],
    "pruning.specialising": ["specialise"],
}
_WHERE = {name: module for module, names in _HOMES.items() for name in names}
_PACKAGES = [
    "bounds",
    "calibration",
    "channels",
    "codes",
    "cost",
    "data",
    "exhibits",
    "experiments",
    "geometry",
    "models",
    "network",
    "plotting",
    "pruning",
    "rivals",
    "scores",
    "training",
]
# Modules that are asked for by themselves, beside the packages that they lie in.
_MODULES = ["criteria", "early_bird", "footprint", "oneshot", "redundancy", "sweeps", "widgets"]

__all__ = [*_WHERE, *_PACKAGES, *_MODULES]
__version__ = "0.1.0"

former.install()


def __getattr__(name: str):
    if name in _WHERE:
        value = getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
    elif name in _PACKAGES or name in former.HOMES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
