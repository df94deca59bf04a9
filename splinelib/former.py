"""Names under which modules were imported before they were moved into packages.

``import splinelib.criteria``, ``from splinelib.redundancy import pca`` and
``splinelib.tables.table`` go on working: a module that moved is found at its new place, and one
that was split becomes a view of its parts. New code uses the packages.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

PACKAGE = __package__

# Former module -> where its public names are now.
HOMES = {
    "affine": ["network.affine"],
    "comparison": ["geometry.difference"],
    "compensation": ["pruning.compensation", "pruning.distillation", "scores.context"],
    "criteria": ["scores.criteria", "scores.context", "scores.hyperplanes", "scores.merging"],
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
    "propagation": [
        "geometry.propagation",
        "geometry.basis",
        "geometry.cell_codes",
        "geometry.rounding",
    ],
    "protocol": ["experiments.protocol"],
    "records": [
        "experiments.store",
        "experiments.origin",
        "experiments.papers",
        "data.loading",
        "text",
        "files",
        "schemas",
    ],
    "redundancy": [
        "scores.hyperplanes",
        "scores.least_squares",
        "scores.merging",
        "scores.removal",
        "scores.context",
        "scores.truncation",
    ],
    "reports": ["experiments.reports"],
    "saving": ["channels.saving"],
    "subdivision": [
        "geometry.mesh",
        "geometry.signs",
        "geometry.interpolation",
        "geometry.indexing",
        "geometry.rounding",
    ],
    "surgery": ["channels.surgery", "channels.cuts", "channels.agreement"],
    "svg": ["plotting.svg", "plotting.palette"],
    "sweeps": ["experiments.sweeps"],
    "tables": ["plotting.tables", "text"],
    "trace": ["network.trace", "network.graph", "network.activations", "network.modes"],
    "watch": ["experiments.watch"],
    "widgets": ["plotting.widgets"],
}


class View(ModuleType):
    """The names of several modules under one, to be read and set as if they were its own."""

    def __init__(self, name: str, homes: list[str]):
        super().__init__(name, f"The names of {', '.join(homes)}, under their former module.")
        # PyTorch's import asks every module for its file: that must not load any.
        file = Path(__file__).parent.joinpath(*homes[0].split(".")).with_suffix(".py")
        self.__dict__.update(homes=homes, __file__=str(file))

    def _modules(self) -> list[ModuleType]:
        return [importlib.import_module(f"{PACKAGE}.{home}") for home in self.homes]

    def _home_of(self, name: str) -> ModuleType | None:
        return next((module for module in self._modules() if hasattr(module, name)), None)

    def __getattr__(self, name: str):
        if name == "__all__":
            return [name for name in dir(self) if not name.startswith("_")]
        home = None if name.startswith("__") else self._home_of(name)
        if home is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(home, name)

    def __setattr__(self, name: str, value) -> None:
        home = None if name.startswith("__") else self._home_of(name)
        super().__setattr__(name, value) if home is None else setattr(home, name, value)

    def __dir__(self) -> list[str]:
        return sorted({name for module in self._modules() for name in vars(module)})


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
        return View(spec.name, HOMES[spec.name.rpartition(".")[2]])

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        homes = HOMES[module.__name__.rpartition(".")[2]]
        if len(homes) == 1:  # the module itself
            sys.modules[module.__name__] = importlib.import_module(f"{PACKAGE}.{homes[0]}")


def install() -> None:
    """Have Python find former modules from now on."""
    if Finder not in sys.meta_path:
        sys.meta_path.append(Finder)
    # A module that Python finds is set on its package, which would hide the function
    # `splinelib.partition`. One that is there already is not.
    name = f"{PACKAGE}.partition"
    sys.modules.setdefault(name, View(name, ["geometry.partition", "geometry.plane"]))
