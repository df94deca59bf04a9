"""A network that the reader names on the command line, with the weights from a file."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from ..archives import read_tensors
from ..channels.saving import from_pruned_state
from ..errors import DamagedFile
from ..models.interchange import from_json

_REMEDY = (
    "Give what train wrote as its checkpoint, what save_pruned wrote, or a state_dict that "
    "torch.save wrote."
)


def given_network(name: str, weights: str | os.PathLike | None = None) -> nn.Module:
    """A network by name, in evaluation mode.

    Parameters
    ----------
    name : str
        ``MODULE:FUNCTION``, a function that makes the network when it is called without arguments,
        such as ``torchvision.models:resnet18``; or a ``.json`` file of the playground.
    weights : path, optional
        A checkpoint of a training, a pruned network (the function makes the dense one), or a
        ``state_dict``. No code in it is run.

    Raises
    ------
    ValueError
        The name is of neither kind, or the weights are not this network's.
    DamagedFile
        The file holds no network's weights.
    FileNotFoundError
    """
    if name.endswith(".json"):
        if weights is not None:
            raise ValueError(f"{name} holds its weights: leave out --weights.")
        return from_json(Path(name).read_text("utf-8"))
    make = _maker(name)
    if weights is not None:
        return _with_weights(make, Path(weights)).eval()
    return _made(make, name).eval()


def _maker(name: str) -> Callable[[], nn.Module]:
    module, colon, function = name.partition(":")
    if not colon or not module or not function.isidentifier():
        raise ValueError(
            f"{name!r} names no network. Give MODULE:FUNCTION, which makes one, such as "
            "torchvision.models:resnet18 (its weights come with --weights), or a .json file of "
            "the playground."
        )
    try:
        made = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"There is no network {name!r} ({error}).") from error
    return made


def _made(make: Callable, name: str = "the function") -> nn.Module:
    try:
        model = make()
    except TypeError as error:
        raise ValueError(
            f"{name} cannot be called without arguments ({error}). Write a function that makes the "
            "network, and name that."
        ) from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"{name} makes a {type(model).__name__}, not a torch.nn.Module.")
    return model


def _with_weights(make: Callable, path: Path) -> nn.Module:
    if not path.exists():
        raise FileNotFoundError(f"There are no weights at {path}.")
    saved = read_tensors(path, "file of weights", _REMEDY)
    if isinstance(saved, dict) and "kept" in saved and "format" in saved:
        return from_pruned_state(make, saved, path)
    state = saved
    if isinstance(saved, dict) and isinstance(saved.get("model"), dict):
        state = saved["model"]  # of a checkpoint
    if not isinstance(state, dict) or not any(isinstance(v, Tensor) for v in state.values()):
        raise DamagedFile(f"{path} holds no network's weights. {_REMEDY}")
    model = _made(make)
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        told = " ".join(str(error).split())
        raise ValueError(f"The weights in {path} are not this network's: {told[:300]}") from error
    return model
