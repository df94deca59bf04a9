"""Small runs that several tests need."""

import pytest
import torch
from torch import nn

from splinelib.experiments import Protocol
from splinelib.experiments.sweeps import Grid, merged
from splinelib.training import train


def quick(model, dataset, **options):
    return train(model, dataset, **({"epochs": 4, "progress": False} | options))


def same_weights(one: nn.Module, two: nn.Module) -> bool:
    left, right = one.state_dict(), two.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


TINY = Protocol(
    network="mlp",
    width=0.25,
    epochs=4,
    lr=0.05,
    batch_size=16,
    probe=16,
    calibration=64,
    train_size=128,
    test_size=64,
)


METHODS = ("spline", "random+refit")


def check_going_on(study, records, told, record, monkeypatch) -> None:
    """A study of two networks, interrupted at the second, is the uninterrupted one in the end.

    ``told`` is how `record` was made, but for a folder in which nothing lies; a second call makes
    the second network alone.
    """
    begun, trained = [], study.Trained

    def interrupted(*args):
        begun.append(args)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return trained(*args)

    monkeypatch.setattr(study, "Trained", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.compare(**told)
    (path,) = records.record_files(told["folder"])
    half = records.read(path)
    assert half["settings"]["seeds"] == 1 and half["dense"] == record["dense"][:1]
    whole = study.compare(**told)
    assert len(begun) == 3
    once = {"seconds", "provenance"}
    assert {k: v for k, v in whole.items() if k not in once} == {
        k: v for k, v in record.items() if k not in once
    }


class Killed(BaseException):
    """Nothing in the library catches this, as nothing catches a kill."""


def timeless(value):
    """A record without what differs between two runs of the same thing: times and dates."""
    if isinstance(value, dict):
        left_out = {"latency", "dense_latency", "finished", "commit", "uncommitted_changes"}
        return {
            key: timeless(entry)
            for key, entry in value.items()
            if key not in left_out and "seconds" not in key
        }
    return [timeless(entry) for entry in value] if isinstance(value, list) else value


SETTINGS = {
    **{"network": ["mlp"], "width": [0.125], "epochs": [2], "probe": [8]},
    **{"calibration": [32], "train_size": [64], "test_size": [32]},
}


def plan_of(seeds=(0, 1), criteria=("magnitude",), ratios=(0.5,), **settings):
    return merged([Grid(SETTINGS | {"seed": seeds} | settings, criteria, ratios)])


CURVES = Protocol(network="mlp", epochs=4, calibration=256, probe=32)


CURVES_METHODS = ("magnitude@layerwise", "magnitude@layerwise+refit", "lsq@residual+refit", "snip")
