"""The CUDA kernel gives what the plain operations give."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, unavailable
from networks import tensors

from splinelib.codes import packing
from splinelib.codes.digests import digests


def check_fused(device: str) -> int:
    """Compare the fused kernel with the plain way on all `tensors`; how many there were."""
    compared = 0
    for z, threshold in zip(tensors(), itertools.cycle((0.0, 0.3))):
        expected = packing.pack(z > threshold)
        found = packing.fused().pack_above(z.to(device), threshold, expected.shape[1]).cpu()
        assert torch.equal(found, expected), (z.shape, z.stride(), z.dtype, threshold)
        compared += 1
    return compared


def test_fused_kernel_equals_the_plain_way_in_the_interpreter():
    if not packing.fused_available():
        unavailable("triton is not installed: the fused kernel cannot be interpreted.")
    code = "import test_packing_triton as t; print('compared', t.check_fused('cpu'))"
    places = [str(ROOT), str(ROOT / "tests"), *sys.path]
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout.split()[-1]) == len(list(tensors()))


@pytest.mark.cuda
def test_all_ways_agree_on_a_gpu():
    for z in tensors():
        assert torch.equal(packing.pack((z > 0).cuda()).cpu(), packing.pack(z > 0))
        assert torch.equal(packing.pack_above(z.cuda(), 0.3).cpu(), packing.pack(z > 0.3))
        assert torch.equal(digests(z.cuda()).cpu(), digests(z))
    if packing.fused_available():
        assert check_fused("cuda") > 0
