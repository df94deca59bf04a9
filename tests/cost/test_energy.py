"""Energy: the difference of two readings of a GPU's meter, or nothing at all."""

import ctypes
from types import SimpleNamespace

import pytest
import torch
from conftest import unavailable

from splinelib.cost import energy


class Library:
    """NVML with one GPU, whose meter reads 5 J and then 7.5 J."""

    def __init__(self, known=b"GPU-00ff", fails=False):
        self.known, self.fails, self.readings = known, fails, iter((5000, 7500))

    def nvmlDeviceGetHandleByUUID(self, name, handle):
        return 0 if name == self.known else 6

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, value):
        if self.fails:
            return 3
        value._obj.value = next(self.readings)
        return 0


@pytest.fixture
def gpu(monkeypatch):
    """A machine with one GPU, as far as this module looks; returns what sets its NVML."""
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="00ff")
    )
    make = torch.tensor
    monkeypatch.setattr(torch, "tensor", lambda values, dtype, device: make(values, dtype=dtype))
    return lambda library: monkeypatch.setattr(energy, "_nvml", lambda: library)


def test_a_reading_is_the_energy_since_the_meter_was_made(gpu):
    gpu(Library())
    assert energy.Meter(torch.device("cuda", 0)).read() == {"joules": 2.5}


def test_the_energy_of_a_gpu_that_others_use_has_another_name(gpu, monkeypatch):
    """Nobody can tell whose it is, not even of what was begun before that was known."""
    monkeypatch.setattr(energy, "_shared", False)  # and put back afterwards
    gpu(Library())
    begun = energy.Meter(torch.device("cuda", 0))
    energy.shared_by_others()
    assert begun.read() == {"shared_joules": 2.5}
    gpu(Library())
    assert energy.Meter(torch.device("cuda", 0)).read() == {"shared_joules": 2.5}


@pytest.mark.parametrize("library", [None, Library(known=b"GPU-other"), Library(fails=True)])
def test_a_gpu_that_cannot_tell_gives_no_figure(gpu, library):
    gpu(library)
    assert energy.Meter(torch.device("cuda", 0)).read() == {}


def test_a_machine_without_nvml_has_none(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert energy._nvml.__wrapped__() is None


def test_a_cpu_has_no_meter():
    assert energy.millijoules(torch.device("cpu")) is None
    assert energy.Meter(torch.device("cpu")).read() == {}


@pytest.mark.cuda
def test_work_on_a_gpu_uses_energy():
    device = torch.device("cuda", torch.cuda.current_device())
    if energy.millijoules(device) is None:
        unavailable("This GPU has no meter.")
    meter = energy.Meter(device)
    square = torch.randn(4096, 4096, device=device)
    for _ in range(200):
        square = square @ square / 4096
    assert meter.read()["joules"] > 0
