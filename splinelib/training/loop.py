"""Train and evaluate a classifier."""

import copy
import inspect
import os
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm.auto import tqdm

from .. import parallel
from ..archives import digest
from ..cost.energy import Meter
from ..cost.flops import FORWARDS_PER_STEP, forward_flops
from ..data.dataset import Dataset
from ..errors import SplineError
from ..network.inputs import check_dtype
from ..network.modes import check_module, device_of
from ..network.overflow import holds_nan, overflow
from ..network.replica import replica
from ..network.surroundings import undisturbed
from ..progress import bar
from ..randomness import generator_of
from .batches import Batches
from .checkpoint import Checkpoint, OnEpoch
from .evaluation import evaluate as evaluate  # it was found here
from .labels import check_classes
from .recipe import Recipe
from .sgd import SGD
from .step import CapturedStep, Step

# PyTorch 2.14 gave the option its second name.
_SYNCHRONISE_BUFFERS = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    else "broadcast_buffers"
)


class TrainingDiverged(SplineError, ArithmeticError):
    """The training loss is no longer a number."""


class OutOfGpuMemory(SplineError, MemoryError):
    """A GPU has too little memory for a step of the training."""


@dataclass(frozen=True)
class Trained:
    """What `train` gives back.

    Attributes
    ----------
    model : torch.nn.Module
        A trained copy, in eval mode.
    history : list of dict
        One row per epoch: ``epoch`` (counted from 0), ``learning_rate``, ``loss``,
        ``train_accuracy`` (on the augmented images, as they were trained on), ``seconds``, on a
        GPU that counts its energy ``joules`` (of all GPUs, for the training itself; where other
        processes use the GPU ``shared_joules``, theirs as well), and what
        `on_epoch` returned.
    flops : float
        Training FLOPs of these epochs: 3 forward passes per image.
    """

    model: nn.Module
    history: list[dict]
    flops: float


@undisturbed(compiled=True)
@torch.enable_grad()
def train(
    model: nn.Module,
    data: Dataset | tuple[Tensor, Tensor],
    recipe: Recipe | None = None,
    *,
    checkpoint: str | os.PathLike | None = None,
    context: Mapping[str, object] | None = None,
    on_epoch: OnEpoch | None = None,
    capture: bool = False,
    progress: bool = True,
    label: str = "train",
    **settings,
) -> Trained:
    """Train a copy of a classifier with SGD and cross-entropy.

    The data lie on the model's device for the whole run; images stay bytes until their batch is
    gathered, cropped, mirrored and normalised there. Nothing waits for the device within an epoch.
    Images that are too many for the device stay where they are, and come batch by batch. On CUDA
    the forward pass runs under bfloat16 autocast, with float32 weights.

    Every random choice of an epoch follows from the recipe's seed and the epoch's number, so a run
    that is interrupted and resumed sees what an unbroken run sees.

    Where `torch.distributed` is initialised (`parallel.launched` does it under torchrun), every
    process calls `train` with the same arguments, and they train one model together. The batch
    stays that of the whole step: each process takes its part of the same augmented batch, and
    DistributedDataParallel averages gradients, so without batch norm the result is that of one
    process up to rounding. Batch norm takes the statistics of a process' own part; the running
    ones are averaged after each epoch. Files are read and written, and `on_epoch` is called, on
    rank 0 alone; every process returns the same result. Images that the last batch of an epoch
    has too few of, fewer than two per process, are left out of that epoch.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    data : Dataset, or pair of Tensor
        A dataset, whose training images are used; or inputs, float32 of shape (N, ...), with
        labels, int64 of shape (N,), which are never augmented.
    recipe : Recipe, optional
        Schedule, SGD, augmentation and seed. They can be given by name as well, alone
        (``epochs=30, lr=0.05``) or to change a recipe.
    checkpoint : path, optional
        Written after every epoch, read at the start if it is there. Delete it to start over.
    context : mapping, optional
        What else decides the result, as plain values. It stands in the checkpoint with the recipe
        and a digest of the images, and one of another context is refused.
    on_epoch : callable, optional
        Called as ``on_epoch(epoch, model)`` after each epoch, the model in eval mode. A dict that
        it returns is added to the row of history, and must hold plain numbers, strings or lists.
        If it has `state_dict` and `load_state_dict`, its state travels with the checkpoint.
    capture : bool
        Whether one process on a GPU replays its steps as a CUDA graph, several times faster for
        deep, narrow networks. For networks whose forward does the same work at each step: what
        Python decides in it is decided once. Elsewhere steps are eager, with the same results.
    progress : bool
        Whether to show a progress bar.
    label : str
        Text of the progress bar.
    **settings
        Settings of the `Recipe`, of which ``epochs`` alone has no default.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        A setting is out of range, a label is no class of the network, `on_epoch` returned what the
        row says already, or the checkpoint belongs to another training run.
    TypeError
        `on_epoch` returned no dict; or, where there is a checkpoint, the history or the context
        hold what could not be read back.
    DamagedFile
        The checkpoint cannot be read.
    TrainingDiverged
        The loss is no longer a number, or the outputs are not after the last step of an epoch.
    OutOfGpuMemory
        A step does not fit on the GPU; the epochs before it are in the checkpoint.

    Examples
    --------
    >>> from splinelib.data import load
    >>> from splinelib.models import build
    >>> digits = load("digits")
    >>> trained = train(build("mlp", digits), digits, epochs=2, progress=False)
    >>> len(trained.history)
    2
    """
    check_module("model", model)
    recipe, device = Recipe.of(recipe, settings), device_of(model)
    batches = Batches.of(data, recipe.augment, device)
    _check_shares(recipe, len(batches))
    check_dtype(model, batches.example())
    model, batches = laid_out(copy.deepcopy(model), batches)
    flops = FORWARDS_PER_STEP * forward_flops(model, batches.example())
    check_classes(batches.labels, _outputs(model, batches.example()))
    optimizer = SGD(model, recipe.momentum, recipe.weight_decay)
    path = None if checkpoint is None else Path(checkpoint)
    decisive = {
        **recipe.state_dict(),
        "augment": batches.crops is not None,
        "examples": len(batches),
        "processes": parallel.processes(),
        "images": None if path is None else _digest(data),
        **(context or {}),
    }
    kept = Checkpoint(path, decisive, model, optimizer, on_epoch)
    history = kept.restore()
    kind = CapturedStep if capture and _can_capture(device) else Step
    step = kind(_together(model), optimizer, recipe.l1, batches.make, device)
    steps, epochs = -(-len(batches) // recipe.batch_size), recipe.epochs - recipe.start
    with bar(
        total=epochs * steps,
        initial=len(history) * steps,
        desc=label,
        unit="batch",
        disable=not progress or parallel.rank() > 0,
    ) as progress_bar:
        for epoch in range(recipe.start + len(history), recipe.epochs):
            with _enough_memory(recipe, epoch, path):
                row = _epoch(step, batches, recipe, epoch, progress_bar)
                model.eval()
                parallel.average_statistics(model)
                _check_outputs(model, batches.example(), epoch, recipe.rate(epoch))
                row |= _said(on_epoch, epoch, model, row)
            history.append(row)
            progress_bar.set_postfix(epoch=epoch + 1, loss=f"{row['loss']:.3f}")
            kept.save(history)
    return Trained(model.eval(), history, float(flops * len(batches) * epochs))


def _digest(data: Dataset | tuple[Tensor, Tensor]) -> str:
    return data.digest if isinstance(data, Dataset) else digest(data)


@parallel.first_only
def _said(on_epoch: OnEpoch | None, epoch: int, model: nn.Module, row: dict) -> dict:
    """What `on_epoch` has to say of an epoch, beside what its row of history says."""
    said = on_epoch(epoch, model) if on_epoch is not None else None
    if said is None:
        return {}
    if not isinstance(said, dict):
        raise TypeError(f"on_epoch should return a dict or None, not {said!r}")
    if taken := sorted(row.keys() & said.keys()):
        raise ValueError(
            f"on_epoch returned {', '.join(taken)}, which the row of history says already: give "
            "it another name"
        )
    return said


def _epoch(step: Step, batches: Batches, recipe: Recipe, epoch: int, progress_bar: tqdm) -> dict:
    """One pass over the training images; its row of history."""
    began, device, rate = time.perf_counter(), batches.device, recipe.rate(epoch)
    seen, seed, meter = 0, recipe.epoch_seed(epoch), Meter(device)
    step.model.train()
    step.begin()
    # Order and crops are drawn alike in all processes, dropout is not.
    generator = generator_of(seed, device)
    with _private_randomness(device, seed + parallel.rank() * 2**40):
        for batch in batches.shuffled(recipe.batch_size, generator):
            progress_bar.update()
            if batch is None:
                continue
            step(batch, rate)
            seen += batch.size
    parallel.sum_(step.loss_sum)
    parallel.sum_(step.correct)
    return {
        "epoch": epoch,
        "learning_rate": rate,
        "loss": _sound((step.loss_sum / seen).item(), epoch, rate),
        "train_accuracy": step.correct.item() / seen,
        "seconds": time.perf_counter() - began,
        **meter.read(),
    }


def _sound(loss: float, epoch: int, rate: float) -> float:
    """The mean loss of an epoch, if it is a number."""
    if loss != loss or loss == float("inf"):
        raise TrainingDiverged(
            f"The loss is {loss} in epoch {epoch} at a learning rate of {rate}. "
            "Lower lr, or check the inputs for values that are not numbers."
        )
    return loss


@torch.no_grad()
def _outputs(model: nn.Module, example: Tensor) -> Tensor:
    """What the network says of one input, before it is trained."""
    return replica(model).eval()(example.clone())


@torch.no_grad()
def _check_outputs(model: nn.Module, example: Tensor, epoch: int, rate: float) -> None:
    """Refuse a network that the last step of an epoch, whose loss nobody saw, made overflow."""
    if holds_nan(model(example.clone())):
        raise TrainingDiverged(
            f"The outputs are NaN after epoch {epoch} at a learning rate of {rate}: "
            f"{overflow(model, example)}. Or lower lr."
        )


def _check_shares(recipe: Recipe, examples: int) -> None:
    """Refuse more processes than a batch has images for."""
    processes = parallel.processes()
    if min(recipe.batch_size, examples) < 2 * processes and processes > 1:
        raise ValueError(
            f"Each of {processes} processes needs two images of a batch, and there are "
            f"{examples} images in batches of {recipe.batch_size}. Start fewer processes."
        )


def laid_out(model: nn.Module, batches: Batches) -> tuple[nn.Module, Batches]:
    """A network of convolutions with its channels last, where that is safe, and inputs to match."""
    if batches.device.type == "cpu" and _overruns(model):
        normalise = batches.transform
        # Not `contiguous`, which leaves images of one channel with the strides of channels last.
        usual = {"memory_format": torch.contiguous_format}
        return model, replace(batches, transform=lambda batch: normalise(batch).clone(**usual))
    if any(isinstance(module, nn.Conv2d) for module in model.modules()):
        model = model.to(memory_format=torch.channels_last)
    return model, batches


def _can_capture(device: torch.device) -> bool:
    return device.type == "cuda" and parallel.processes() == 1


def _together(model: nn.Module) -> nn.Module:
    """The model as it is, or wrapped so that all processes step with the mean of gradients."""
    if parallel.processes() == 1:
        return model
    device = device_of(model)
    return DistributedDataParallel(
        model,
        device_ids=[device.index] if device.type == "cuda" else None,
        # Each keeps its own statistics, and the epoch's end averages them.
        **{_SYNCHRONISE_BUFFERS: False},
    )


@contextmanager
def _enough_memory(recipe: Recipe, epoch: int, checkpoint) -> Iterator[None]:
    """Turn PyTorch's error about a full GPU into what to do about it."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        # The frames of the failed step hold its tensors: let go of them.
        traceback.clear_frames(error.__traceback__)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        kept = (
            "Nothing was kept, as there is no checkpoint"
            if checkpoint is None
            else f"The {epoch - recipe.start} epochs before it are in the checkpoint"
        )
        raise OutOfGpuMemory(
            f"The GPU ran out of memory in epoch {epoch}, with batches of {recipe.batch_size}. "
            f"{kept}. Free memory on the GPU and repeat the call to go on, or train anew with "
            f"batch_size={max(2, recipe.batch_size // 2)} (--batch-size; under another --name), or "
            "spread the same batch over more GPUs with torchrun."
        ) from None


def _overruns(model: nn.Module) -> bool:
    """Whether a layer is of the kind whose gradient oneDNN writes beyond its memory.

    In PyTorch 2.14 on a CPU, channels last: convolutions of 1 x 1 with a stride, on few channels of
    images of 64 pixels or more. Such networks are small; they keep the usual layout.
    """
    return any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels < 16
        for module in model.modules()
    )


@contextmanager
def _private_randomness(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the global generators, for dropout and the like, and put them back afterwards."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng([device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
