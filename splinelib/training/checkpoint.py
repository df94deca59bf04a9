"""The state of a training after each epoch, on disk."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from .. import parallel
from ..errors import DamagedFile
from ..files import replacing
from ..text import differences
from .sgd import SGD

_CHECKPOINT_VERSION = 1

# Called after each epoch; what it returns is added to the row of history.
OnEpoch = Callable[[int, nn.Module], dict | None]


def read_checkpoint(path: str | os.PathLike) -> dict:
    """Contents of a checkpoint that `train` wrote; holds tensors and plain values, no code.

    Raises
    ------
    DamagedFile
        The file is not a checkpoint of this version, or is cut short.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch.load raises many kinds for a damaged file
        raise DamagedFile(
            f"The checkpoint {path} cannot be read ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no message'}). Delete it to train "
            "from the start."
        ) from error
    if not isinstance(state, dict) or state.get("version") != _CHECKPOINT_VERSION:
        raise DamagedFile(
            f"{path} is not a training checkpoint of version {_CHECKPOINT_VERSION}. Delete it to "
            "train from the start."
        )
    if isinstance(state.get("recipe"), dict):
        # Checkpoints from before training could spread do not name a number of processes.
        state["recipe"] = {"processes": 1} | state["recipe"]
    return state


@dataclass
class Checkpoint:
    """The checkpoint of one training: what goes into it, and whether one that is there fits.

    Attributes
    ----------
    path : Path or None
        None where none is kept.
    settings : dict
        Everything that decides the result, to be compared with what stands in the file.
    model, optimizer
        Whose state it keeps.
    on_epoch : callable or None
        If it has `state_dict` and `load_state_dict`, its state is kept too.
    """

    path: Path | None
    settings: dict
    model: nn.Module
    optimizer: SGD
    on_epoch: OnEpoch | None

    @parallel.first_only
    def save(self, history: list[dict]) -> None:
        """Write the state after an epoch, whole or not at all."""
        if self.path is None:
            return
        keeps = hasattr(self.on_epoch, "state_dict")
        state = {
            "version": _CHECKPOINT_VERSION,
            "recipe": self.settings,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": history,
            "on_epoch": self.on_epoch.state_dict() if keeps else None,
        }
        with replacing(self.path) as temporary:
            torch.save(state, temporary)

    def restore(self) -> list[dict]:
        """Take up the file if there is one, in every process; returns the history so far.

        Raises
        ------
        ValueError
            The file belongs to another training run or to another network.
        DamagedFile
            It cannot be read.
        """
        state = self._read()
        if state is None:
            return []
        different = differences(state["recipe"], self.settings)
        if different:
            raise ValueError(
                f"The checkpoint {self.path} belongs to another training run: {different}. "
                "Repeat the settings to go on with it, or delete it to start over."
            )
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise ValueError(
                f"The checkpoint {self.path} belongs to another network ({error}). Delete it to "
                "start over."
            ) from error
        self.optimizer.load_state_dict(state["optimizer"])
        self._restore_on_epoch(state["on_epoch"])
        return state["history"]

    @parallel.first_only
    def _read(self) -> dict | None:
        if self.path is None or not self.path.exists():
            return None
        return read_checkpoint(self.path)

    @parallel.first_only
    def _restore_on_epoch(self, state: dict | None) -> None:
        if state is not None and hasattr(self.on_epoch, "load_state_dict"):
            self.on_epoch.load_state_dict(state)
