"""One training run over several processes: who is who, and what they tell each other.

Everything here works with one process too, where it does nothing, so that the rest of the library
is written once. The processes are those of `torch.distributed`, started by ``torchrun`` or by the
user; the one of rank 0 leads: it reads and writes files, and the others follow.
"""

import functools
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")
P = ParamSpec("P")


def processes() -> int:
    """How many processes train together; 1 without `torch.distributed`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0; 0 without `torch.distributed`."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


@contextmanager
def launched() -> Iterator[None]:
    """Join the processes that ``torchrun`` started, for the length of a ``with`` block.

    Each process takes the GPU of its local rank, and talks through NCCL; where there are not
    GPUs for all, they compute on the CPU and talk through gloo. Without torchrun, or where
    `torch.distributed` has been initialised already, nothing happens.

    Raises
    ------
    ValueError
        There are GPUs, but not one for each process of this machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or processes() > 1:
        yield
        return
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))
    if 0 < gpus < here:
        raise ValueError(
            f"torchrun started {here} processes on a machine with {gpus} GPUs. Start as many as "
            'there are GPUs (--nproc-per-node), or hide the GPUs (CUDA_VISIBLE_DEVICES="") to '
            "train on the CPU."
        )
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if gpus else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def share(value: T) -> T:
    """What rank 0 hands in, in every process; what the others hand in is dropped."""
    if processes() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def first(action: Callable[[], T]) -> T:
    """Do something on rank 0 alone; its result, or its error, comes to every process.

    Examples
    --------
    >>> first(lambda: 1 + 1)
    2
    """
    if processes() == 1:
        return action()
    result, error = None, None
    if rank() == 0:
        try:
            result = action()
        except Exception as raised:
            error = raised
    if rank() == 0:
        share((result, _portable(error)))
    else:
        result, error = share(None)
    if error is not None:
        raise error
    return result


def first_only(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function one that rank 0 alone runs; its result, or its error, is everybody's.

    Every process has to call it.

    Examples
    --------
    >>> @first_only
    ... def read(path):
    ...     return f"contents of {path}"
    >>> read("note.txt")
    'contents of note.txt'
    """

    @functools.wraps(function)
    def on_first(*arguments: P.args, **options: P.kwargs) -> T:
        return first(lambda: function(*arguments, **options))

    return on_first


def part(count: int) -> slice:
    """This process' part of a batch of `count`: all parts together are the whole, in order."""
    number, all_ = rank(), processes()
    return slice(count * number // all_, count * (number + 1) // all_)


def sum_(tensor: Tensor) -> Tensor:
    """Sum over the processes, in place."""
    if processes() > 1:
        dist.all_reduce(tensor)
    return tensor


def average_statistics(model: nn.Module) -> None:
    """Give all processes the mean of their running statistics (of batch norm), in place.

    Each process normalises its own part of a batch, so each has statistics of its own. Counters,
    which are integers and agree, are left alone.
    """
    if processes() > 1:
        for buffer in model.buffers():
            if buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer /= processes()


def _portable(error: Exception | None) -> Exception | None:
    """The error, or one with its words if it cannot travel between processes."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
