"""Packing signs, on whatever way the device has."""

import subprocess
import sys

import torch
import torch.nn.functional as F
from networks import tensors

from splinelib.codes import packing
from splinelib.network.activations import parse


def test_torch_operations_pack_like_numpy():
    for z in tensors():
        assert torch.equal(packing.pack_with_torch(z > 0), packing.pack(z > 0))


def test_signs_on_a_cpu_are_packed_the_same_in_blocks_and_at_once(monkeypatch):
    """NumPy's way, a few rows at a time where it can be, against torch's."""
    everything = [t for z in tensors() for t in (z, z.double())]
    for step in (packing._IN_CACHE, 1, 150):
        monkeypatch.setattr(packing, "_IN_CACHE", step)
        for z in [*everything, torch.tensor([[torch.nan, torch.inf, -torch.inf, -0.0]])]:
            for threshold in (0.0, 0.3):
                expected = packing.pack_with_torch(z > threshold)
                assert torch.equal(packing.pack_above(z, threshold), expected)


def test_nothing_of_it_is_imported_with_the_library():
    code = (
        "import sys, splinelib, splinelib.codes; print('splinelib.packing_triton' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "False", run.stderr


def test_pooling_once_gives_value_and_winners():
    """Whatever the size, the memory format and the ties; indices beyond a byte too."""
    for shape in [(2, 3, 8, 8), (2, 3, 7, 6), (2, 3, 7, 5), (2, 1, 2, 2), (1, 2, 20, 301)]:
        x = torch.randint(0, 3, shape).float()
        for form in (torch.contiguous_format, torch.channels_last):
            for arguments in [(2,), (2, 2), (3, 2, 1), (2, 1)]:
                call, operands = parse(
                    F.max_pool2d, (x.contiguous(memory_format=form), *arguments), {}
                )
                if min(shape[2:]) < 3 and arguments[0] == 3:
                    continue
                value, packed = packing.pool_and_pack(call, *operands)
                assert torch.equal(value, F.max_pool2d(x, *arguments))
                assert value.is_contiguous() or not operands[0].is_contiguous()
                assert torch.equal(packed, packing.pack(call.code(x)))
