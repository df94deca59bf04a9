"""Codes of shards, brought together by two processes, are the codes of the whole."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DistributedSampler

import splinelib as sl


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(5, 7, 3), nn.ReLU(), nn.Flatten(), nn.Linear(28, 3)),
    )


INPUTS = torch.randn(9, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def equal(a, b):
    return (
        len(a) == len(b)
        and a.layers == b.layers
        and all(torch.equal(a.unpack(name), b.unpack(name)) for name in a.layers)
        and a.distance(b) == 0  # which also compares the digests of the inputs
    )


def work(rank, store):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    try:
        model = DistributedDataParallel(network()).module
        whole = sl.region_codes(model, INPUTS)
        shard = [INPUTS[:6], INPUTS[6:]][rank]  # of different lengths
        codes = sl.region_codes(model, shard)
        assert equal(sl.codes.gather(codes), whole)
        only = sl.codes.gather(codes, destination=1)
        assert (only is None) == (rank == 0)
        assert rank == 0 or equal(only, whole)
        sampler = DistributedSampler(range(9), 2, rank, shuffle=False)  # deals input 0 twice
        dealt = sl.region_codes(model, INPUTS[list(sampler)])
        assert len(dealt) == 5
        assert equal(sl.codes.gather(dealt, interleaved=True, total=9), whole)
        odd = sl.region_codes(model, INPUTS[rank::2])
        assert equal(sl.codes.gather(odd, interleaved=True), whole)
        unknown = sl.RegionCodes.from_bool({n: codes.unpack(n).numpy() for n in codes.layers})
        assert equal(sl.codes.gather(unknown if rank else codes), whole)
        with pytest.raises(ValueError, match="total"):
            sl.codes.gather(codes, total=10)
        other = sl.RegionCodes.from_bool({"a": np.ones((2, 3 + rank))})
        with pytest.raises(ValueError, match="different architectures"):
            sl.codes.gather(other)
    finally:
        dist.destroy_process_group()


@pytest.mark.timeout(180)
def test_two_processes_gather_their_shards(tmp_path):
    mp.spawn(work, (str(tmp_path / "store"),), nprocs=2)


def test_one_process_alone_is_told_what_is_missing():
    codes = sl.RegionCodes.from_bool({"a": np.ones((2, 3))})
    with pytest.raises(RuntimeError, match="init_process_group"):
        sl.codes.gather(codes)
