"""What a run watches while its dense network trains: its codes, and the masks of some criteria.

The rule on codes decides when tickets are drawn. The rules on masks are there to be compared with
it, in one and the same training run; they decide for those tickets only that ask for it.
"""

import math
import time
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .. import parallel, pruning
from ..archives import digest, write_tensors
from ..channels.layout import Layout
from ..codes.early_bird import EarlyBird, MaskEarlyBird
from ..codes.probe import Probe
from ..codes.regioncodes import RegionCodes
from ..errors import DamagedFile
from ..schemas import AMOUNT, COUNT, SHARE
from .protocol import Protocol, Ticket

# Masks that are watched, cut globally. These criteria look at weights alone, so they cost next to
# nothing.
CRITERIA = ("spline", "bn", "magnitude", "fpgm")
RATIOS = (0.3, 0.5, 0.7)


class Watch:
    """What happens after each dense epoch: codes, masks, early bird, draw, accuracy.

    Codes go to disk as they come, so that a resumed run has those of every earlier epoch.

    Parameters
    ----------
    protocol : Protocol
    work : Path
        Folder for codes and for the networks that tickets are drawn from: ``draw.pt`` at the early
        bird of the codes, ``draw-EPOCH.pt`` where masks settle at another epoch.
    inputs : callable
        ``inputs(count)`` gives a fixed sample of training images.
    accuracy : callable
        ``accuracy(model)`` gives what a row of history says of the network.
    settings : dict
        What decides the run; it stands in those networks, for `resuming.read_draw` to compare.
    capture : bool
        Whether one process on a GPU takes the codes by replaying a CUDA graph; see `Probe`.
    """

    def __init__(
        self,
        protocol: Protocol,
        work: Path,
        inputs: Callable[[int], Tensor],
        accuracy: Callable[[nn.Module], dict],
        settings: dict,
        capture: bool = False,
    ):
        self.protocol, self.work, self.accuracy = protocol, work, accuracy
        self.settings = settings
        self.detector = EarlyBird(threshold=protocol.threshold, lookback=protocol.lookback)
        self.masks: dict[tuple[str, float], MaskEarlyBird] = {}
        self.probe = inputs(protocol.probe)
        alone = parallel.processes() == 1
        self._codes = Probe(self.probe, smooth="freeze", capture=capture and alone)
        self.drawn_after: int | None = None
        self._digests: list[str] = []  # of the codes of each epoch
        self._layout: Layout | None = None

    def __call__(self, epoch: int, model: nn.Module) -> dict:
        began = time.perf_counter()
        codes = self._codes.codes(model)
        settled = self.detector.update(codes)
        detection = time.perf_counter() - began
        codes.save(self._file(epoch))
        self._digests.append(_digest(codes))
        self._watch_masks(model)
        last = self.protocol.last_draw
        if self.drawn_after is None and (settled or epoch == last):
            self._keep("draw.pt", epoch, model)
            self.drawn_after = epoch
        settled_epochs = {rule.epoch for rule in self.masks.values()}
        due = epoch in settled_epochs or (epoch == last and None in settled_epochs)
        if due and epoch <= last and epoch != self.drawn_after:
            self._keep(f"draw-{epoch:03d}.pt", epoch, model)
        return {"detection_seconds": detection, **self.accuracy(model)}

    def _watch_masks(self, model: nn.Module) -> None:
        normalised = any(isinstance(module, _BatchNorm) for module in model.modules())
        for criterion in CRITERIA:
            if criterion == "bn" and not normalised:
                continue
            example = self.probe[:1]
            scores = pruning.score(model, criterion, example=example, layout=self._layout)
            self._layout = scores.layout  # the next need not trace the model again
            for ratio in RATIOS:
                rule = self.masks.setdefault((criterion, ratio), MaskEarlyBird())
                with warnings.catch_warnings():
                    # Nobody prunes by these masks, so that a layer would be emptied is no news.
                    warnings.filterwarnings("ignore", message="groups .* would have lost all")
                    masks = pruning.select(scores, ratio)
                rule.update(masks)

    def _keep(self, name: str, epoch: int, model: nn.Module) -> None:
        state = {
            "version": 1,
            "settings": self.settings,
            "epoch": epoch,
            "probe": len(self.probe),
            "model": model.state_dict(),
        }
        write_tensors(self.work / name, state)

    def _file(self, epoch: int) -> Path:
        return self.work / f"codes-{epoch:03d}.npz"

    def state_dict(self) -> dict:
        masks = [[*key, rule.state_dict()] for key, rule in self.masks.items()]
        epochs = len(self.detector.distances)
        return {
            "epochs": epochs,
            "codes": self._digests,
            "drawn_after": self.drawn_after,
            "masks": masks,
        }

    def load_state_dict(self, state: dict) -> None:
        # Checkpoints from before codes had digests have none.
        digests = state.get("codes", [None] * state["epochs"])
        for epoch in range(state["epochs"]):
            try:
                codes = RegionCodes.load(self._file(epoch))
                self._digests.append(_digest(codes))
                if digests[epoch] not in (None, self._digests[-1]):
                    raise ValueError("they are of another epoch, or of another run")
                self.detector.update(codes)
            except (FileNotFoundError, ValueError) as error:
                raise DamagedFile(
                    f"The region codes of epoch {epoch} cannot be used ({error}), and the dense "
                    f"training cannot go on without them. Delete {self.work} to start over."
                ) from error
        self.drawn_after = state["drawn_after"]
        # Checkpoints from before masks were watched have none; theirs start here.
        for criterion, ratio, rule in state.get("masks", []):
            self.masks[criterion, ratio] = MaskEarlyBird()
            self.masks[criterion, ratio].load_state_dict(rule)

    def report(self, history: list[dict]) -> dict:
        """What the record says of the early bird."""
        detector = self.detector
        came = detector.epoch is not None and detector.epoch <= self.drawn_after
        return {
            "settled_epoch": detector.epoch,
            "drawn_after": self.drawn_after,
            "reason": "early bird" if came else "latest epoch allowed",
            "probe": len(self.probe),
            "distances": [None if math.isnan(d) else d for d in detector.distances],
            "matrix": [[round(value, 6) for value in row] for row in detector.matrix.tolist()],
            "per_layer": detector.per_layer,
            "seconds": sum(row["detection_seconds"] for row in history),
            "masks": [
                {
                    "criterion": criterion,
                    "ratio": ratio,
                    "settled_epoch": rule.epoch,
                    "rows": [[round(value, 6) for value in row] for row in rule.rows],
                }
                for (criterion, ratio), rule in self.masks.items()
            ],
        }


def _digest(codes: RegionCodes) -> str:
    return digest(torch.from_numpy(words.view(np.int64)) for words in codes.packed.values())


def source(ticket: Ticket, readings: dict, protocol: Protocol) -> tuple[str, int]:
    """File, in a run's folder, of the dense network that a ticket is drawn from, and its epoch.

    Parameters
    ----------
    ticket : Ticket
    readings : dict
        What `Watch.report` said.
    protocol : Protocol

    Raises
    ------
    ValueError
        The masks that the ticket's rule looks at were not watched.
    """
    if ticket.lottery:
        return "dense.pt", protocol.epochs - 1
    if ticket.rule == "codes":
        return "draw.pt", readings["drawn_after"]
    rules = {(m["criterion"], m["ratio"]): m for m in readings["masks"]}
    check_watched([ticket], rules)
    settled = rules[ticket.criterion, ticket.ratio]["settled_epoch"]
    epoch = protocol.last_draw if settled is None else min(settled, protocol.last_draw)
    return "draw.pt" if epoch == readings["drawn_after"] else f"draw-{epoch:03d}.pt", epoch


def check_watched(
    tickets: Sequence[Ticket], watched: Collection[tuple[str, float]] | None = None
) -> None:
    """Refuse tickets that are drawn by a rule on masks which nobody watches.

    Parameters
    ----------
    tickets : sequence of Ticket
    watched : collection of (str, float), optional
        Criterion and ratio of the masks. Default: those that a run watches.
    """
    if watched is None:
        watched = [(criterion, ratio) for criterion in CRITERIA for ratio in RATIOS]
    for ticket in tickets:
        if ticket.rule == "masks" and (ticket.criterion, ticket.ratio) not in watched:
            known = ", ".join(f"{criterion} at {ratio:g}" for criterion, ratio in watched)
            raise ValueError(
                f"The masks of {ticket.criterion} at {ticket.ratio:g} are not watched, so a ticket "
                f"cannot be drawn when they settle. Watched: {known or 'none in this record'}."
            )


# What a record must say of the early bird, as types and ranges (`schemas.mismatches`). Records from
# before masks were watched have no "masks".
READINGS = {
    "settled_epoch": (COUNT, None),
    "drawn_after": COUNT,
    "reason": str,
    "probe": COUNT,
    "distances": [(SHARE, None)],
    "matrix": [[SHARE]],
    "per_layer": [{str: SHARE}],
    "seconds": AMOUNT,
    "masks?": [
        {"criterion": str, "ratio": SHARE, "settled_epoch": (COUNT, None), "rows": [[SHARE]]}
    ],
}
