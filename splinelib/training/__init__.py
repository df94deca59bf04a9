"""Train and evaluate classifiers, by the paper's recipe unless told otherwise.

`loop` trains, `evaluation` counts what is right, `batches` hands out the images, `recipe` is
everything that decides the result, `sgd` steps, and `checkpoint` keeps the state after each epoch,
so that a run can be interrupted. An `ensemble` of small perceptrons is trained all at once, as a
whole or `layerwise`. This package uses `network`, `data` and `cost`.
"""

# What training costs is counted in `cost`; these names are found here too.
from ..cost.flops import (
    FORWARDS_PER_STEP,
    PUBLISHED_UNIT_PFLOP,
    FlopCounter,
    FlopsLedger,
    forward_flops,
)
from ..cost.footprint import Measurement, latencies, measure
from ..network.modes import device_of
from .checkpoint import OnEpoch, read_checkpoint
from .ensemble import Ensemble
from .evaluation import evaluate
from .layerwise import pretrain
from .loop import OutOfGpuMemory, Trained, TrainingDiverged, train
from .recipe import Recipe

__all__ = [
    "FORWARDS_PER_STEP",
    "PUBLISHED_UNIT_PFLOP",
    "Ensemble",
    "FlopCounter",
    "FlopsLedger",
    "Measurement",
    "OnEpoch",
    "OutOfGpuMemory",
    "Recipe",
    "Trained",
    "TrainingDiverged",
    "device_of",
    "evaluate",
    "forward_flops",
    "latencies",
    "measure",
    "pretrain",
    "read_checkpoint",
    "train",
]
