"""Names under which modules were imported before they were moved into packages.

``import splinelib.criteria``, ``from splinelib.redundancy import pca`` and
``splinelib.tables.table`` go on working: a module that moved is found at its new place, and one
that was split becomes a view of its parts. New code uses the packages.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = __package__

# Former module -> where its public names are now. `splinelib.partition` is not among them, since
# that name is the function's; nor are `subdivision` and `propagation`, the machinery of the exact
# partition, which has been taken apart.
HOMES = {
    "affine": ["network.affine"],
    "comparison": ["geometry.difference"],
    "compensation": ["pruning.compensation", "pruning.distillation", "scores.context"],
    "criteria": ["scores.criteria", "scores.context", "scores.hyperplanes"],
    "early_bird": ["codes.early_bird", "data.probes"],
    "energy": ["cost.energy"],
    "extraction": ["codes.extraction"],
    "footprint": ["exhibits.savings", "cost.footprint"],
    "groups": ["channels.groups", "network.modes"],
    "importance": ["scores.importance"],
    "layers": ["network.layers"],
    "layout": ["channels.layout"],
    "oneshot": ["experiments.oneshot", "experiments.earnings"],
    "packing": ["codes.packing", "codes.bits", "codes.digests"],
    "packing_triton": ["codes.packing_triton"],
    "protocol": ["experiments.protocol"],
    "records": [
        "experiments.store",
        "experiments.origin",
        "experiments.papers",
        "data.loading",
        "text",
        "files",
    ],
    "redundancy": [
        "scores.hyperplanes",
        "scores.least_squares",
        "scores.removal",
        "scores.context",
    ],
    "reports": ["experiments.reports"],
    "saving": ["channels.saving"],
    "surgery": ["channels.surgery"],
    "svg": ["plotting.svg", "plotting.palette"],
    "sweeps": ["experiments.sweeps"],
    "tables": ["plotting.tables", "text"],
    "trace": ["network.trace", "network.activations", "network.modes"],
    "watch": ["experiments.watch"],
    "widgets": ["plotting.widgets"],
}


class _View(ModuleType):
    """The names of several modules under one."""

    def __init__(self, name: str, homes: list[str]):
        super().__init__(name, f"The names of {', '.join(homes)} under their former module.")
        self.__homes = homes

    def __getattr__(self, name: str):
        if not name.startswith("__"):
            for home in self.__homes:
                module = importlib.import_module(f"{PACKAGE}.{home}")
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class Finder:
    """Finds former modules, for Python's list of finders (`sys.meta_path`)."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        package, _, module = name.rpartition(".")
        if package == PACKAGE and module in HOMES:
            return ModuleSpec(name, Finder)
        return None

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        return _View(spec.name, HOMES[spec.name.rpartition(".")[2]])

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        homes = HOMES[module.__name__.rpartition(".")[2]]
        if len(homes) == 1:  # the module itself, so that what is set on it is set for all
            sys.modules[module.__name__] = importlib.import_module(f"{PACKAGE}.{homes[0]}")
