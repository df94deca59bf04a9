"""Codes whose inputs were shared out over several processes, brought together."""

import hashlib
import json

import numpy as np
import torch
import torch.distributed as dist

from .regioncodes import RegionCodes


def gather(
    codes: RegionCodes,
    destination: int | None = None,
    interleaved: bool = False,
    total: int | None = None,
    group=None,
) -> RegionCodes | None:
    """Bring together codes whose inputs were shared out over the processes of a group.

    Each process codes its shard (`region_codes` of a DistributedDataParallel's ``module``) and
    calls this; what travels is packed, one layer at a time.

    Parameters
    ----------
    codes : RegionCodes
        This process's rows; processes may have different numbers of them.
    destination : int, optional
        Rank that gets the codes; every other one gets None. By default all get them.
    interleaved : bool
        False: process r holds the r-th stretch of the inputs. True: it holds inputs r, r + W,
        r + 2 W, ... of W processes, as torch's DistributedSampler (not shuffled) deals them.
    total : int, optional
        Number of inputs; rows beyond are dropped. A DistributedSampler fills up its last round
        with inputs that it has dealt already.
    group : torch.distributed.ProcessGroup, optional

    Returns
    -------
    RegionCodes of all rows in the order of the inputs, or None

    Raises
    ------
    RuntimeError
        If torch.distributed has not been initialised.
    ValueError
        On every process, if their codes have different layers, or there are fewer rows
        than `total`.
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError(
            "gather needs torch.distributed: call torch.distributed.init_process_group first"
        )
    ranks = dist.get_world_size(group)
    # NCCL moves tensors on its GPU only, gloo those of the host
    device = torch.device("cuda" if dist.get_backend(group) == "nccl" else "cpu")
    name = hashlib.blake2b(json.dumps(list(codes.layers.items())).encode(), digest_size=7)
    known = codes.inputs is not None
    mine = torch.tensor([len(codes), int(name.hexdigest(), 16), known], device=device)
    heads = [torch.empty_like(mine) for _ in range(ranks)]
    dist.all_gather(heads, mine, group=group)
    counts, architectures, knowing = torch.stack(heads).cpu().T.tolist()
    if len(set(architectures)) > 1:
        raise ValueError("the processes hold codes of different architectures")
    if total is not None and not 0 < total <= sum(counts):
        raise ValueError(f"total is {total}, and the processes hold {sum(counts)} rows together")
    if interleaved:
        starts = np.cumsum([0, *counts])
        rounds = [(k, r) for r in range(ranks) for k in range(counts[r])]
        order = np.array([starts[r] + k for k, r in sorted(rounds)], np.int64)[:total]
    else:
        order = np.arange(sum(counts))[:total]
    inputs = [codes.inputs.reshape(-1, 1)] if all(knowing) else []
    gathered = [
        _gathered(array.view(np.int64), counts, destination, group, device)
        for array in [*inputs, *codes.packed.values()]
    ]
    if destination is not None and dist.get_rank(group) != destination:
        return None
    digests = gathered.pop(0)[order].ravel() if inputs else None
    packed = {n: a[order].view(np.uint64) for n, a in zip(codes.layers, gathered, strict=True)}
    return RegionCodes(codes.layers, packed, digests)


def _gathered(
    array: np.ndarray, counts: list[int], destination: int | None, group, device: torch.device
) -> np.ndarray | None:
    """The rows (n, words) of all processes, one after another."""
    padded = torch.zeros(max(counts), array.shape[1], dtype=torch.int64)
    padded[: len(array)] = torch.from_numpy(array)
    padded = padded.to(device)
    if destination is None or dist.get_rank(group) == destination:
        parts = [torch.empty_like(padded) for _ in counts]
    else:
        parts = None
    if destination is None:
        dist.all_gather(parts, padded, group=group)
    else:
        dist.gather(padded, parts, group=group, group_dst=destination)
    if parts is None:
        return None
    return torch.cat([p[:n] for p, n in zip(parts, counts, strict=True)]).cpu().numpy()
