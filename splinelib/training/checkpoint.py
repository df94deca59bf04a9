"""The state of a training after each epoch, on disk."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from torch import Tensor, nn

from .. import parallel
from ..archives import check_readable, read_tensors, write_tensors
from ..errors import DamagedFile
from ..schemas import AMOUNT, COUNT, NUMBER, mismatches
from ..text import differences
from .sgd import SGD

_CHECKPOINT_VERSION = 1

# Called after each epoch; what it returns is added to the row of history.
OnEpoch = Callable[[int, nn.Module], dict | None]


def read_checkpoint(path: str | os.PathLike) -> dict:
    """Contents of a checkpoint that `train` wrote; holds tensors and plain values, no code.

    Checkpoints of all times are read. What decides the result stands under ``recipe``; those from
    before training could spread do not name a number of processes, and were made by one. Those
    from before ``images`` stood there do not say on which they were trained.

    Raises
    ------
    DamagedFile
        The file is not a whole checkpoint of this version, or holds what cannot be.
    OSError, MemoryError
        It cannot be opened or read; it may be sound.
    """
    state = read_tensors(path, "checkpoint", _REMEDY)
    if not isinstance(state, dict) or state.get("version") != _CHECKPOINT_VERSION:
        raise DamagedFile(
            f"{path} is not a training checkpoint of version {_CHECKPOINT_VERSION}. {_REMEDY}"
        )
    problems = list(islice(_problems(state), 5))
    if problems:
        raise DamagedFile(f"The checkpoint {path} cannot be: {'; '.join(problems)}. {_REMEDY}")
    state["recipe"] = {"processes": 1} | state["recipe"]
    return state


_REMEDY = "Delete it to train from the start."
_HELD = {
    "version": int,
    "recipe": {"epochs": COUNT, "start": COUNT},
    "model": {str: object},
    "optimizer": {"momentum_buffers": [Tensor]},
    "history": [{"epoch": COUNT, "loss": NUMBER, "seconds": AMOUNT}],
    "on_epoch": (dict, None),
}


def _problems(state: dict) -> Iterator[str]:
    """What in a checkpoint cannot be, a sentence each."""
    wrong = list(mismatches(state, _HELD, "checkpoint"))
    if wrong:
        yield from wrong
        return
    epochs = [row["epoch"] for row in state["history"]]
    start, end = state["recipe"]["start"], state["recipe"]["epochs"]
    if epochs != list(range(start, start + len(epochs))) or not start < start + len(epochs) <= end:
        yield f"its history is of the epochs {epochs}, and the schedule goes from {start} to {end}"
    held = {**state["model"], **dict(enumerate(state["optimizer"]["momentum_buffers"]))}
    for name in _not_numbers(held):
        yield f"{name} holds values that are not numbers"


def _not_numbers(held: Mapping[str | int, object]) -> Iterator[str | int]:
    """Names of tensors that hold NaN."""
    for name, value in held.items():
        if isinstance(value, Tensor) and value.isnan().any():
            yield name


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
        write_tensors(self.path, state)

    def restore(self) -> list[dict]:
        """Take up the file if there is one, in every process; returns the history so far.

        Raises
        ------
        TypeError
            The settings hold what could not be read back from a file.
        ValueError
            The file belongs to another training run or to another network, or the network holds
            NaN.
        DamagedFile
            It cannot be read.
        """
        if self.path is not None:  # before hours of training, which could not be read back
            check_readable(self.settings, "context")
            for name in _not_numbers(self.model.state_dict()):
                raise ValueError(
                    f"{name} of the network holds NaN, which a checkpoint is refused for when it "
                    "is read: give it a number, or register it with persistent=False"
                )
        state = self._read()
        if state is None:
            return []
        unsaid = {"images": self.settings["images"]}
        different = differences(unsaid | state["recipe"], self.settings)
        if different:
            raise ValueError(
                f"The checkpoint {self.path} belongs to another training run: {different}. "
                "Repeat the settings to go on with it, keep this run's elsewhere (--name), or "
                "delete it to start over."
            )
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise ValueError(
                f"The checkpoint {self.path} belongs to another network ({error}). Delete it to "
                "start over."
            ) from error
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise DamagedFile(f"The checkpoint {self.path}: {error}. {_REMEDY}") from error
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
