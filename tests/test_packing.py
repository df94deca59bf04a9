"""Every way of packing gives the same bytes; the fused kernel runs in triton's interpreter."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import unavailable
from hypothesis import given, settings
from hypothesis import strategies as st

from splinelib import packing
from splinelib.trace import parse

SHAPES = [(1,), (64,), (67,), (5, 3, 3), (6, 4, 4), (40, 8, 8), (2, 4, 6, 2)]


def tensors():
    """Pre-activations of all shapes, types and memory formats, some of them exactly zero."""
    generator = torch.Generator().manual_seed(0)
    for shape, dtype in itertools.product(SHAPES, (torch.float32, torch.bfloat16)):
        z = torch.randn(2, *shape, generator=generator).to(dtype)
        z[torch.rand(z.shape, generator=generator) < 0.2] = 0
        yield z
        if len(shape) == 3:
            yield z.contiguous(memory_format=torch.channels_last)
            yield z.flip(0)[..., ::2]  # with gaps
    yield z[:0]


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
    code = "import test_packing as t; print('compared', t.check_fused('cpu'))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=os.path.dirname(__file__),
        env=os.environ
        | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(["..", *sys.path])},
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
        assert torch.equal(packing.digests(z.cuda()).cpu(), packing.digests(z))
    if packing.fused_available():
        assert check_fused("cuda") > 0


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


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 400), st.integers(0, 9))
def test_counting_bits(rows, width, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random((rows, width)) < 0.5, rng.random((rows, width)) < 0.5
    one, two = packing.pack_array(a), packing.pack_array(b)
    assert np.array_equal(packing.unpack_array(one, (width,)), a)
    assert packing.differing(one, two) == (a != b).sum()
    assert np.array_equal(packing.differing_pairs(one), (a[:, None] != a[None]).sum(-1))


def test_counting_goes_on_over_blocks(monkeypatch):
    monkeypatch.setattr(packing, "_AT_ONCE", 64)
    rng = np.random.default_rng(0)
    a, b = rng.random((9, 1000)) < 0.5, rng.random((9, 1000)) < 0.5
    one, two = packing.pack_array(a), packing.pack_array(b)
    assert packing.differing(one, two) == (a != b).sum()
    assert np.array_equal(packing.differing_pairs(one), (a[:, None] != a[None]).sum(-1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8, torch.bfloat16])
def test_digests_tell_rows_apart_and_ignore_how_they_are_held(dtype, monkeypatch):
    x = (torch.rand(200, 3, 5, 7) * 4).floor().to(dtype)  # few values: most bits are the same
    x = torch.unique(x, dim=0)
    digests = packing.digests(x)
    assert len(torch.unique(digests)) == len(x)
    assert torch.equal(packing.digests(x.contiguous(memory_format=torch.channels_last)), digests)
    assert torch.equal(packing.digests(x[3:5]), digests[3:5])
    swapped = x.clone()
    swapped[:, 0, 0, 0], swapped[:, 0, 0, 1] = x[:, 0, 0, 1], x[:, 0, 0, 0]
    differ = (swapped != x).flatten(1).any(1)
    assert torch.equal(packing.digests(swapped) != digests, differ)
    assert differ.any()
    monkeypatch.setattr(packing, "_AT_ONCE", 1000)
    assert torch.equal(packing.digests(x), digests)


def test_digests_of_a_single_column_of_any_stride():
    column = torch.rand(6, 1, dtype=torch.float64)
    for view in (column.expand(6, 1).as_strided((6, 1), (1, 0)), column.t().contiguous().t()):
        assert torch.equal(packing.digests(view), packing.digests(column))
