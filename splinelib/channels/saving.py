"""What a pruned network remembers of the dense one, and what that is good for.

The kept channels of every module travel with the network (``pruning_record``). So it can be saved
as tensors alone, without pickled code, loaded into a fresh copy of the dense network, or rewound
to the weights that the dense network started from.
"""

import os
from collections.abc import Callable, Sequence
from itertools import islice

import torch
from torch import Tensor, nn

from ..archives import read_tensors, write_tensors
from ..errors import DamagedFile
from ..network.modes import check_module
from ..schemas import mismatches
from .attention import closed, has_opened, opened
from .cuts import cut_copy
from .surgery import shell

_FORMAT, _VERSION = "splinelib pruned network", 1
_REMEDY = "Prune and save the network again."
_HELD = {
    "kept": {str: {str: Tensor}},
    "shapes": {str: [int]},
    "added_biases": [str],
    "state": {str: object},
    "training": bool,
}


def remembered(
    model: nn.Module, kept: dict[str, dict[str, Tensor]], added_biases: Sequence[str] = ()
) -> dict:
    """What a network cut out of `model` remembers, for good.

    Parameters
    ----------
    model : torch.nn.Module
        What was cut. If it was pruned before, the dense network is what is remembered.
    kept : dict
        Module -> role -> channels that stayed.
    added_biases : sequence of str
        Layers that got a bias which they did not have.
    """
    before = getattr(model, "pruning_record", None)
    if before is None:
        plain = closed(shell(model)) if has_opened(model) else model
        return {"kept": kept, "shapes": shapes_of(plain), "added_biases": [*added_biases]}
    merged = {name: dict(sides) for name, sides in before["kept"].items()}
    for name, sides in kept.items():
        for role, indices in sides.items():
            old = merged.setdefault(name, {}).get(role)
            merged[name][role] = indices if old is None else old[indices]
    return {**before, "kept": merged, "added_biases": [*before["added_biases"], *added_biases]}


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of all parameters and buffers, as a pruned network remembers them of the dense one.

    What modules keep besides (`torch.nn.Module.get_extra_state`) has none.
    """
    state = model.state_dict(keep_vars=True)
    return {name: tuple(held.shape) for name, held in state.items() if isinstance(held, Tensor)}


def save_pruned(model: nn.Module, path: str | os.PathLike) -> None:
    """Write a pruned network: what was kept, and its weights. No code is pickled.

    Parameters
    ----------
    model : torch.nn.Module
        From `shrink` or `prune`, trained on or not.
    path : path
        Written at once or not at all.

    Raises
    ------
    ValueError
        If the model was not pruned here, so that nobody knows what was kept.
    TypeError
        If a module keeps what could not be read back (`torch.nn.Module.get_extra_state`).
    """
    write_tensors(path, pruned_state(model))


def pruned_state(model: nn.Module) -> dict:
    """What `save_pruned` writes, for a file that holds more than a pruned network."""
    record = _record_of(model, "save_pruned")
    state = {
        name: held.detach().cpu() if isinstance(held, Tensor) else held
        for name, held in model.state_dict().items()
    }
    head = {"format": _FORMAT, "version": _VERSION, "training": model.training}
    return {**head, **record, "state": state}


def load_pruned(make_dense_model: Callable[[], nn.Module], path: str | os.PathLike) -> nn.Module:
    """Read a pruned network back.

    Parameters
    ----------
    make_dense_model : callable
        Makes the dense network that was pruned, whatever its weights:
        ``lambda: sl.models.vgg16()``.
    path : path
        Written by `save_pruned`.

    Returns
    -------
    torch.nn.Module
        With the saved weights, on the device of the dense network, in the saved mode.

    Raises
    ------
    DamagedFile
        If the file is truncated, damaged, of another version, or not one of ours.
    ValueError
        If the dense network is not the one that was pruned, or of a dtype that cannot hold what
        was saved.
    TypeError
        If what should make it does not.
    OSError, MemoryError
        If the file cannot be opened or read; it may be sound.
    """
    if isinstance(make_dense_model, nn.Module):
        raise TypeError(
            "make_dense_model is a function that makes the dense network, such as "
            "lambda: sl.models.vgg16(), and this is a network"
        )
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no pruned network at {path}")
    return from_pruned_state(make_dense_model, read_tensors(path, "file", _REMEDY), path)


def from_pruned_state(make_dense_model: Callable[[], nn.Module], saved: object, path) -> nn.Module:
    """Undo `pruned_state`; arguments and errors as for `load_pruned`, `path` for its messages."""
    _check_saved(saved, path)
    model = make_dense_model()
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"make_dense_model should return a torch.nn.Module, not {type(model).__name__}"
        )
    _check_dense(model, saved["shapes"], "make_dense_model() does not make", path)
    _check_dtypes(model, saved["state"], path)
    try:
        model = cut_copy(opened(shell(model)), saved["kept"])
        modules = dict(model.named_modules())
        for name in saved["added_biases"]:
            weight = modules[name].weight
            zeros = weight.detach().new_zeros(len(weight))
            modules[name].bias = nn.Parameter(zeros, requires_grad=weight.requires_grad)
        closed(model).load_state_dict(saved["state"])
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise DamagedFile(
            f"{path} does not fit together ({str(error).splitlines()[0]}). {_REMEDY}"
        ) from error
    model.pruning_record = {key: saved[key] for key in ("kept", "shapes", "added_biases")}
    return model.train(saved["training"])


def rewind(pruned: nn.Module, dense: nn.Module) -> nn.Module:
    """What is left of a dense network when the channels go that a pruned one lost.

    With the dense network as it was before training this is a lottery ticket (Frankle and Carbin,
    ICLR 2019): the architecture that pruning found, with the weights that it started from.

    Parameters
    ----------
    pruned : torch.nn.Module
        From `shrink`, `prune` or `load_pruned`; only what it kept is looked at.
    dense : torch.nn.Module
        The network that was pruned, with whatever weights. It is left as it is.

    Returns
    -------
    torch.nn.Module
        A copy of ``dense`` without those channels.

    Raises
    ------
    ValueError
        If ``pruned`` was not pruned here, or not from such a network.

    Examples
    --------
    >>> import torch, splinelib as sl
    >>> small = sl.prune(sl.models.mlp([2, 8, 2]), 0.5, example=torch.zeros(1, 2))
    >>> [p.shape[0] for p in sl.rewind(small, sl.models.mlp([2, 8, 2], seed=1)).parameters()]
    [4, 4, 2, 2]
    """
    check_module("dense", dense)
    record = _record_of(pruned, "rewind")
    _check_dense(dense, record["shapes"], "dense is not", "the pruned network")
    ticket = closed(cut_copy(opened(shell(dense)), record["kept"]))
    ticket.pruning_record = {**record, "added_biases": []}
    return ticket


def _check_saved(saved: object, path) -> None:
    if not isinstance(saved, dict) or saved.get("format") != _FORMAT:
        raise DamagedFile(f"{path} was not written by save_pruned")
    if saved.get("version") != _VERSION:
        raise DamagedFile(
            f"{path} has version {saved.get('version')}, this splinelib reads version {_VERSION}; "
            "prune and save the network again"
        )
    problems = list(islice(mismatches(saved, _HELD, "file"), 5)) or [
        f"{name} holds values that are not numbers"
        for name, value in saved["state"].items()
        if isinstance(value, Tensor) and value.isnan().any()
    ]
    if problems:
        raise DamagedFile(f"{path} cannot be: {'; '.join(problems)}. {_REMEDY}")


def _check_dtypes(model: nn.Module, state: dict, path) -> None:
    """Refuse to round what was saved."""
    for name, made in model.state_dict().items():
        saved = state.get(name)
        if not isinstance(saved, Tensor) or not isinstance(made, Tensor):
            continue
        if torch.promote_types(saved.dtype, made.dtype) != made.dtype:
            raise ValueError(
                f"{name!r} was saved in {path} as {saved.dtype}, and make_dense_model() makes "
                f"{made.dtype}, which cannot hold it: let it make {saved.dtype}."
            )


def _record_of(model: nn.Module, caller: str) -> dict:
    record = getattr(model, "pruning_record", None)
    if record is None:
        raise ValueError(
            f"this network carries no record of what was kept; {caller} takes what "
            "shrink or prune returned"
        )
    return record


def _check_dense(model: nn.Module, shapes: dict[str, tuple], given: str, pruned) -> None:
    state = shapes_of(model)
    if state == shapes:
        return
    names = [*shapes, *state]
    wrong = next(name for name in names if state.get(name) != shapes.get(name))
    raise ValueError(
        f"{given} the network that {pruned} was pruned from: {wrong!r} has "
        f"shape {state.get(wrong, 'missing')}, expected {shapes.get(wrong, 'missing')}"
    )
