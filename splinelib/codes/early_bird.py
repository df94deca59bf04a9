"""When has the partition settled, and when have pruning masks?"""

from collections.abc import Mapping
from numbers import Integral

import numpy as np
import torch

from ..errors import DamagedFile
from .regioncodes import RegionCodes


class EarlyBird:
    """Detect the epoch from which the partition no longer moves much.

    The rule of the code released with the paper (Spline-EB): the first epoch whose distance
    to each of the last ``lookback`` epochs is below ``threshold``, the distance being the
    mean Hamming distance of region codes on fixed probe inputs (`RegionCodes.distance`). It
    looks at the partition only, so it does not depend on how the network will be pruned.

    Parameters
    ----------
    threshold : float in (0, 1]
    lookback : int
        Number of previous epochs that must all be close.

    Attributes
    ----------
    epoch : int or None
        The first epoch (counted from 0, one per update) that qualified.
    distances : list of float
        For each epoch the largest distance to the last ``lookback`` epochs; NaN while there
        are fewer.
    matrix : ndarray, float64, shape (T, T)
        Distance of every two epochs.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> detector, probe = sl.EarlyBird(lookback=1), torch.randn(32, 2)
    >>> [detector.update(sl.region_codes(net, probe)) for epoch in range(2)]
    [False, True]
    """

    def __init__(self, threshold: float = 0.16, lookback: int = 3):
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold is a share of bits in (0, 1], not {threshold!r}")
        if not isinstance(lookback, Integral) or lookback < 1:
            raise ValueError(f"lookback is a whole number of epochs, at least 1, not {lookback!r}")
        self.threshold, self.lookback = threshold, lookback
        self.epoch: int | None = None
        self.distances: list[float] = []
        self.per_layer: list[dict[str, float]] = []  # distance to the epoch before, by layer
        self._codes: list[RegionCodes] = []
        self._rows: list[list[float]] = []

    def update(self, codes: RegionCodes) -> bool:
        """Take the codes of one more epoch; True from the first epoch that qualifies.

        Raises
        ------
        TypeError
            If they are no `RegionCodes`.
        ValueError
            If the codes are of another architecture or of other inputs than before, or of none.
        """
        if not isinstance(codes, RegionCodes):
            raise TypeError(f"an epoch is given as RegionCodes, not as {type(codes).__name__}")
        if not len(codes):
            raise ValueError("these are the codes of no inputs: nothing can be seen to settle")
        row = [codes.distance(earlier) for earlier in self._codes]
        self.per_layer.append(codes.distance(self._codes[-1], per_layer=True) if row else {})
        self._codes.append(codes)
        self._rows.append(row)
        largest = max(row[-self.lookback :]) if len(row) >= self.lookback else float("nan")
        self.distances.append(largest)
        if self.epoch is None and largest < self.threshold:
            self.epoch = len(self.distances) - 1
        return self.epoch is not None

    def state_dict(self) -> dict:
        """All that was seen so far, as plain values and tensors, for a checkpoint.

        It holds the packed codes of every epoch, for the matrix; nothing is copied.
        `torch.load` reads it back with ``weights_only=True``.
        """
        return {
            "threshold": self.threshold,
            "lookback": self.lookback,
            "codes": [codes.state_dict() for codes in self._codes],
        }

    def load_state_dict(self, state: Mapping) -> None:
        """Go on from what `state_dict` gave; the detector itself should be a new one.

        Raises
        ------
        ValueError
            If the detector has seen epochs already, or has another threshold or lookback.
        DamagedFile
            If this is not the state of a detector.
        """
        _check_fresh(self, state, ("threshold", "lookback"), "codes")
        for codes in state["codes"]:
            self.update(RegionCodes.from_state_dict(codes))

    @property
    def matrix(self) -> np.ndarray:
        matrix = np.zeros((len(self._rows), len(self._rows)))
        for i, row in enumerate(self._rows):
            matrix[i, : len(row)] = matrix[: len(row), i] = row
        return matrix


class MaskEarlyBird:
    """Detect the epoch from which a pruning mask no longer changes much.

    The rule of Early-Bird Tickets (You et al., ICLR 2020): the last ``queue`` masks all
    differ from the newest by at most ``threshold``. Unlike `EarlyBird` it watches the mask of
    one criterion at one ratio, and has to be run anew for each.

    Parameters
    ----------
    threshold : float in (0, 1]
        Largest share of units on which two masks may differ.
    queue : int
        Number of masks that are held, the newest included.

    Attributes
    ----------
    epoch : int or None
        The first epoch (counted from 0, one per update) that qualified.
    distances : list of float
        For each epoch the largest distance of the newest mask to the others in the queue; NaN
        while the queue is not full.
    rows : list of list of float
        For each epoch the distance to each earlier mask in the queue, oldest first: enough to
        apply the rule with another threshold or a shorter queue.

    Examples
    --------
    >>> import torch
    >>> detector = MaskEarlyBird(queue=2)
    >>> [detector.update({"a": torch.tensor([True, False])}) for epoch in range(2)]
    [False, True]
    """

    def __init__(self, threshold: float = 0.1, queue: int = 5):
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold is a share of units in (0, 1], not {threshold!r}")
        if not isinstance(queue, Integral) or queue < 2:
            raise ValueError(f"queue is a whole number of masks, at least 2, not {queue!r}")
        self.threshold, self.queue = threshold, queue
        self.epoch: int | None = None
        self.distances: list[float] = []
        self.rows: list[list[float]] = []
        self._masks: list[dict] = []

    def update(self, masks: Mapping) -> bool:
        """Take the masks of one more epoch (name -> bool (U,)); True once one has qualified.

        Raises
        ------
        ValueError
            If the masks are of other groups or lengths than before.
        """
        # copies: a caller may write the next epoch's masks into the same tensors
        masks = {name: np.asarray(mask, dtype=bool).copy() for name, mask in masks.items()}
        if not masks:
            raise ValueError("there are no masks: a network without prunable units never settles")
        shapes = {name: mask.shape for name, mask in masks.items()}
        if self._masks and shapes != {name: mask.shape for name, mask in self._masks[-1].items()}:
            raise ValueError("these masks are of another network than those before")
        units = sum(mask.size for mask in masks.values())
        differing = [
            float(sum((masks[name] ^ earlier[name]).sum() for name in masks) / units)
            for earlier in self._masks
        ]
        self.rows.append(differing)
        self._masks = [*self._masks, masks][-self.queue + 1 :]
        full = len(differing) == self.queue - 1
        self._judge(max(differing) if full else float("nan"))
        return self.epoch is not None

    def _judge(self, largest: float) -> None:
        self.distances.append(largest)
        if self.epoch is None and largest <= self.threshold:
            self.epoch = len(self.distances) - 1

    def state_dict(self) -> dict:
        """All that the rule needs to go on, as plain values and tensors, for a checkpoint."""
        masks = [{n: torch.from_numpy(mask) for n, mask in held.items()} for held in self._masks]
        return {
            "threshold": self.threshold,
            "queue": self.queue,
            "rows": self.rows,
            "masks": masks,
        }

    def load_state_dict(self, state: Mapping) -> None:
        """Go on from what `state_dict` gave; the detector itself should be a new one.

        Raises
        ------
        ValueError
            If the detector has seen epochs already, or has another threshold or queue.
        DamagedFile
            If this is not the state of a detector.
        """
        _check_fresh(self, state, ("threshold", "queue"), "rows", "masks")
        for row in state["rows"]:
            self.rows.append(list(row))
            self._judge(max(row) if len(row) == self.queue - 1 else float("nan"))
        self._masks = [{n: mask.numpy() for n, mask in held.items()} for held in state["masks"]]


def _check_fresh(detector, state: Mapping, settings: tuple[str, ...], *content: str) -> None:
    if detector.distances:
        raise ValueError(
            f"this detector has seen {len(detector.distances)} epochs already: load a state into a "
            "new one"
        )
    lacking = [key for key in (*settings, *content) if key not in state]
    if lacking:
        raise DamagedFile(f"not the state of an early-bird detector: it lacks {lacking}")
    for key in settings:
        mine = getattr(detector, key)
        if state[key] != mine:
            raise ValueError(
                f"the state was saved with {key}={state[key]}, the detector has {mine}"
            )
