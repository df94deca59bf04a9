"""Inputs grouped by the regions that they lie in: k-means on the bits of their codes."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..network.outputs import as_rows
from .regioncodes import RegionCodes


def code_clusters(
    codes: RegionCodes, count: int, names: Sequence[str] | None = None, seed: int = 0
) -> Tensor:
    """Group inputs by k-means on the bits of their codes.

    The squared distance of two codes is the number of units on whose side they differ.

    Parameters
    ----------
    codes : RegionCodes
        N rows.
    count : int
        Of clusters.
    names : sequence of str, optional
        Layers whose bits count; all if not given.
    seed : int
        Of the starts of k-means.

    Returns
    -------
    Tensor of int64, shape (N,)
        Numbers of clusters, each of which has a member.

    Raises
    ------
    ValueError
        If `count` is not positive, or there are fewer codes that differ, so that some clusters
        would be without members.
    """
    from sklearn.cluster import KMeans  # takes a second, which others of this package do not need

    if count < 1:
        raise ValueError(f"the number of clusters should be positive, not {count}")
    names = list(codes.layers) if names is None else list(names)
    distinct = codes.count_regions(names)
    if count > distinct:
        raise ValueError(
            f"{count} clusters were asked for, and the inputs have {distinct} different codes: "
            f"some clusters would be without members. Ask for at most {distinct}, or give more "
            "inputs or layers"
        )
    bits = torch.cat([as_rows(codes.unpack(name)) for name in names], 1)
    found = KMeans(count, n_init=4, random_state=seed).fit_predict(bits.numpy().astype(np.float32))
    return torch.from_numpy(found).long()
