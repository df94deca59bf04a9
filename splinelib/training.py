"""Train, evaluate, checkpoint, resume, and count what it cost.

The defaults are the paper's: SGD at 0.1 with momentum 0.9 and weight decay 1e-4, batches of 128,
the rate divided by ten at half and at three quarters of the epochs (80 and 120 of 160).
"""

import copy
import inspect
import os
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.sgd import sgd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from tqdm.auto import tqdm

from . import energy, parallel
from .data import Dataset
from .errors import DamagedFile, SplineError
from .files import replacing
from .progress import bar
from .records import differences
from .trace import evaluating

# A training step costs a forward pass, and a backward pass that is twice as dear.
FORWARDS_PER_STEP = 3

# Early-Bird Tickets' Table 2 prints training cost in these units.
PUBLISHED_UNIT_PFLOP = 0.05

_CHECKPOINT_VERSION = 1

# PyTorch 2.14 gave the option its second name.
_SYNCHRONISE_BUFFERS = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    else "broadcast_buffers"
)

OnEpoch = Callable[[int, nn.Module], dict | None]


class TrainingDiverged(SplineError, ArithmeticError):
    """The training loss is no longer a number."""


class OutOfGpuMemory(SplineError, MemoryError):
    """A GPU has too little memory for a step of the training."""


@dataclass
class FlopsLedger:
    """Training FLOPs by what they were spent on; one multiply-accumulate is 2 FLOPs.

    Attributes
    ----------
    entries : dict of str to float
        FLOPs of each phase, for example ``dense``, ``detection``, ``scoring``, ``ticket``.

    Examples
    --------
    >>> ledger = FlopsLedger()
    >>> ledger.add("dense", 2e15)
    >>> ledger.add("ticket", 1e15)
    >>> ledger.pflop, round(ledger.units)
    (3.0, 60)
    """

    entries: dict[str, float] = field(default_factory=dict)

    def add(self, entry: str, flops: float) -> None:
        """Add `flops` to an entry, which is made if it is new."""
        self.entries[entry] = self.entries.get(entry, 0.0) + float(flops)

    @property
    def total(self) -> float:
        """FLOPs of all entries."""
        return sum(self.entries.values())

    @property
    def pflop(self) -> float:
        """The total in units of 1e15 FLOPs."""
        return self.total / 1e15

    @property
    def units(self) -> float:
        """The total in the units of the published table, 0.05 PFLOP each."""
        return self.pflop / PUBLISHED_UNIT_PFLOP


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
        GPU that counts its energy ``joules`` (of all GPUs, for the training itself), and what
        `on_epoch` returned.
    flops : float
        Training FLOPs of these epochs: 3 forward passes per image.
    """

    model: nn.Module
    history: list[dict]
    flops: float


@dataclass(frozen=True)
class _Recipe:
    """Everything that decides the result, kept in the checkpoint to compare with."""

    epochs: int
    start: int
    lr: float
    batch_size: int
    momentum: float
    weight_decay: float
    milestones: list[int]
    l1: float
    augment: bool
    seed: int
    examples: int
    processes: int = 1

    def rate(self, epoch: int) -> float:
        return self.lr * 0.1 ** sum(epoch >= milestone for milestone in self.milestones)


class _SGD:
    """Stochastic gradient descent with momentum, on PyTorch's fused kernel.

    The same arithmetic as `torch.optim.SGD`, whose constructor imports PyTorch's compiler: that
    takes longer than training on digits does.
    """

    def __init__(self, model: nn.Module, momentum: float, weight_decay: float):
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.buffers = [torch.zeros_like(p) for p in self.parameters]
        self.momentum, self.weight_decay = momentum, weight_decay

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float) -> None:
        used = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        sgd(
            [self.parameters[i] for i in used],
            [self.parameters[i].grad for i in used],
            [self.buffers[i] for i in used],
            fused=True,
            lr=lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )

    def state_dict(self) -> dict:
        return {"momentum_buffers": self.buffers}

    def load_state_dict(self, state: dict) -> None:
        for buffer, saved in zip(self.buffers, state["momentum_buffers"], strict=True):
            buffer.copy_(saved)


def train(
    model: nn.Module,
    data: Dataset | tuple[Tensor, Tensor],
    *,
    epochs: int,
    lr: float = 0.1,
    batch_size: int = 128,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    milestones: Sequence[int] | None = None,
    l1: float = 0.0,
    augment: bool = True,
    seed: int = 0,
    start: int = 0,
    checkpoint: str | os.PathLike | None = None,
    on_epoch: OnEpoch | None = None,
    progress: bool = True,
    label: str = "train",
) -> Trained:
    """Train a copy of a classifier with SGD and cross-entropy.

    The data lie on the model's device for the whole run; images stay bytes until their batch is
    cropped, mirrored and normalised there. Nothing waits for the device within an epoch. Images
    that are too many for the device stay where they are, and come batch by batch. On CUDA the
    forward pass runs under bfloat16 autocast, with float32 weights.

    Every random choice of an epoch follows from `seed` and the epoch's number, so a run that is
    interrupted and resumed sees what an unbroken run sees.

    Where `torch.distributed` is initialised (`parallel.launched` does it under torchrun), every
    process calls `train` with the same arguments, and they train one model together. `batch_size`
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
    epochs : int
        Last epoch of the schedule.
    lr, momentum, weight_decay, batch_size
        Of SGD. Weight decay acts on every parameter.
    milestones : sequence of int, optional
        Epochs from which the rate is divided by a further ten. Default: half and three quarters
        of `epochs`.
    l1 : float
        Factor of the L1 penalty on batch-norm scales (network slimming).
    augment : bool
        Whether training images are cropped and mirrored at random.
    seed : int
        Seed of order and augmentation.
    start : int
        First epoch: a ticket drawn after epoch t - 1 goes on from epoch t of the same schedule.
    checkpoint : path, optional
        Written after every epoch, read at the start if it is there. Delete it to start over.
    on_epoch : callable, optional
        Called as ``on_epoch(epoch, model)`` after each epoch, the model in eval mode. A dict that
        it returns is added to the row of history, and must hold plain numbers, strings or lists.
        If it has `state_dict` and `load_state_dict`, its state travels with the checkpoint.
    progress : bool
        Whether to show a progress bar.
    label : str
        Text of the progress bar.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        A setting is out of range, or the checkpoint belongs to another training run.
    DamagedFile
        The checkpoint cannot be read.
    TrainingDiverged
        The loss is no longer a number.
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
    device = device_of(model)
    images, labels, transform, crop = _unpack(data, augment, device)
    recipe = _Recipe(
        epochs=epochs,
        start=start,
        lr=lr,
        batch_size=batch_size,
        momentum=momentum,
        weight_decay=weight_decay,
        milestones=_milestones(epochs) if milestones is None else list(milestones),
        l1=l1,
        augment=crop is not None,
        seed=seed,
        examples=len(images),
        processes=parallel.processes(),
    )
    _check(recipe)
    model = copy.deepcopy(model)
    if device.type == "cpu" and _overruns(model):
        normalise = transform
        transform = lambda batch: normalise(batch).contiguous()  # noqa: E731
    elif any(isinstance(module, nn.Conv2d) for module in model.modules()):
        model = model.to(memory_format=torch.channels_last)
    flops = FORWARDS_PER_STEP * forward_flops(model, transform(images[:1].to(device)))
    optimizer = _SGD(model, momentum, weight_decay)
    history: list[dict] = []
    if checkpoint is not None:
        history = _restore(Path(checkpoint), recipe, model, optimizer, on_epoch)
    together = _together(model, recipe)

    steps = -(-len(images) // batch_size)
    begin = start + len(history)
    with bar(
        total=(epochs - start) * steps,
        initial=len(history) * steps,
        desc=label,
        unit="batch",
        disable=not progress or parallel.rank() > 0,
    ) as progress_bar:
        for epoch in range(begin, epochs):
            with _enough_memory(recipe, epoch, checkpoint):
                row = _epoch(
                    *(together, images, labels, transform, crop, optimizer, recipe, epoch),
                    progress_bar,
                )
                model.eval()
                parallel.average_statistics(model)
                if on_epoch is not None:
                    row |= parallel.first(lambda: on_epoch(epoch, model)) or {}  # noqa: B023
            history.append(row)
            progress_bar.set_postfix(epoch=epoch + 1, loss=f"{row['loss']:.3f}")
            if checkpoint is not None:
                parallel.first(
                    lambda: _save(Path(checkpoint), recipe, model, optimizer, history, on_epoch)
                )
    return Trained(model.eval(), history, float(flops * len(images) * (epochs - start)))


def _epoch(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    transform: Callable[[Tensor], Tensor],
    crop: Callable[..., Tensor] | None,
    optimizer: _SGD,
    recipe: _Recipe,
    epoch: int,
    progress_bar: tqdm,
) -> dict:
    """One pass over the training images; its row of history."""
    began = time.perf_counter()
    device = device_of(model)
    rate = recipe.rate(epoch)
    scales = _batch_norm_scales(model) if recipe.l1 else []
    loss_sum = torch.zeros((), device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    seen = 0
    meter = energy.Meter(device)
    model.train()
    # Order and crops are drawn alike in all processes, dropout is not.
    generator = torch.Generator(device).manual_seed(_epoch_seed(recipe.seed, epoch))
    order = torch.randperm(len(images), generator=generator, device=device).to(images.device)
    with _private_randomness(device, _epoch_seed(recipe.seed, epoch) + parallel.rank() * 2**40):
        for batch in order.split(recipe.batch_size):
            progress_bar.update()
            if len(batch) < 2 * recipe.processes and seen:
                continue  # batch norm cannot normalise a single value
            mine = parallel.part(len(batch))
            inputs, targets = images[batch[mine]], labels[batch[mine]]
            if inputs.device != device:
                inputs, targets = _bring(inputs, device), _bring(targets, device)
            if crop is not None:
                inputs = crop(inputs, generator, (mine.start, len(batch)))
            inputs = transform(inputs)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                logits = model(inputs)
                loss = nn.functional.cross_entropy(logits, targets)
            optimizer.zero_grad()
            # Gradients are averaged over processes: parts of unequal size count by their size.
            weight = len(targets) * recipe.processes / len(batch)
            (loss if weight == 1 else loss * weight).backward()
            for scale in scales:
                scale.grad.add_(scale.detach().sign(), alpha=recipe.l1)
            optimizer.step(rate)
            # Sums stay on the device: reading them here would wait for every step.
            loss_sum += loss.detach() * len(targets)
            correct += (logits.detach().argmax(1) == targets).sum()
            seen += len(batch)
    parallel.sum_(loss_sum)
    parallel.sum_(correct)
    mean_loss = (loss_sum / seen).item()
    if mean_loss != mean_loss or mean_loss == float("inf"):
        raise TrainingDiverged(
            f"The loss is {mean_loss} in epoch {epoch} at a learning rate of {rate}. "
            "Lower lr, or check the inputs for values that are not numbers."
        )
    return {
        "epoch": epoch,
        "learning_rate": rate,
        "loss": mean_loss,
        "train_accuracy": correct.item() / seen,
        "seconds": time.perf_counter() - began,
        **meter.read(),
    }


def _together(model: nn.Module, recipe: _Recipe) -> nn.Module:
    """The model as it is, or wrapped so that all processes step with the mean of gradients."""
    if recipe.processes == 1:
        return model
    device = device_of(model)
    return DistributedDataParallel(
        model,
        device_ids=[device.index] if device.type == "cuda" else None,
        # Each keeps its own statistics, and the epoch's end averages them.
        **{_SYNCHRONISE_BUFFERS: False},
    )


@contextmanager
def _enough_memory(recipe: _Recipe, epoch: int, checkpoint) -> Iterator[None]:
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


@torch.no_grad()
def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    batch_size: int = 500,
    transform: Callable[[Tensor], Tensor] | None = None,
) -> float:
    """Share of inputs whose largest output is the label's.

    Parameters
    ----------
    model : torch.nn.Module
        Evaluated in eval mode, and put back in the mode it was in.
    images : Tensor
        Inputs of shape (N, ...), moved to the model's device batch by batch.
    labels : Tensor
        int64, shape (N,).
    batch_size : int
        Inputs at a time.
    transform : callable, optional
        Applied to each batch, such as `Dataset.to_float` for uint8 images.

    Returns
    -------
    float
        In [0, 1].
    """
    if len(images) != len(labels) or not len(images):
        raise ValueError(
            f"evaluate needs a label for each input and at least one: got {len(images)} inputs "
            f"and {len(labels)} labels."
        )
    if transform is None and not images.is_floating_point():
        raise TypeError(
            f"The inputs are {images.dtype}. Pass dataset.to_float(images), or "
            "transform=dataset.to_float to convert batch by batch."
        )
    device = device_of(model)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    with evaluating(model):
        for inputs, targets in zip(images.split(batch_size), labels.split(batch_size), strict=True):
            inputs = inputs.to(device)
            logits = model(transform(inputs) if transform else inputs)
            correct += (logits.argmax(1) == targets.to(device)).sum()
    return correct.item() / len(images)


@torch.no_grad()
def forward_flops(model: nn.Module, example: Tensor) -> int:
    """FLOPs of one forward pass per input, as PyTorch counts them: 2 per multiply-accumulate.

    Convolutions and matrix products count; batch norm, activations and pooling do not.

    Parameters
    ----------
    model : torch.nn.Module
        Left in the mode it was in.
    example : Tensor
        Inputs of shape (N, ...), of which the first is used.

    Examples
    --------
    >>> forward_flops(nn.Linear(8, 4), torch.zeros(1, 8))
    64
    """
    with evaluating(model), FlopCounter() as counter:
        model(example[:1])
    return counter.total


class FlopCounter(TorchDispatchMode):
    """Add up the FLOPs of what runs inside a ``with`` block, by PyTorch's own formulas.

    As `torch.utils.flop_counter.FlopCounterMode`, but without its table per module, whose hooks
    do not allow `torch.autograd.grad` inside the block. Matrix factorisations are not counted.

    Attributes
    ----------
    total : int
        FLOPs so far.

    Examples
    --------
    >>> with FlopCounter() as counter:
    ...     _ = torch.zeros(2, 3) @ torch.zeros(3, 4)
    >>> counter.total
    48
    """

    def __init__(self):
        super().__init__()
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Otherwise PyTorch imports its compiler for our sake, which takes seconds.
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=result)
        return result


@dataclass(frozen=True)
class Measurement:
    """Size and speed of a network; see `measure`.

    Attributes
    ----------
    channels : int
        Outputs of all convolutions and linear layers but the last one, which gives the classes.
    parameters : int
        Trainable numbers.
    macs : int
        Multiply-accumulates per input.
    latency : float
        Median seconds of a forward pass of the whole example.
    batch_size : int
        Inputs in the example.
    """

    channels: int
    parameters: int
    macs: int
    latency: float
    batch_size: int


@torch.no_grad()
def measure(
    model: nn.Module, example: Tensor, repeats: int = 9, threads: int | None = 1
) -> Measurement:
    """Count a network's channels, parameters and multiply-accumulates, and time it.

    Parameters
    ----------
    model : torch.nn.Module
        Left in the mode it was in.
    example : Tensor
        Inputs of shape (N, ...) on the model's device.
    repeats : int
        Passes to take the median of, after two that are not counted.
    threads : int or None
        CPU threads for the timing; None for as many as PyTorch uses now.

    Returns
    -------
    Measurement
    """
    (latency,) = latencies([model], example, repeats, threads)
    widths = [
        module.out_features if isinstance(module, nn.Linear) else module.out_channels
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
    ]
    return Measurement(
        channels=sum(widths[:-1]),
        parameters=sum(p.numel() for p in model.parameters()),
        macs=forward_flops(model, example) // 2,
        latency=latency,
        batch_size=len(example),
    )


@torch.no_grad()
def latencies(
    models: Sequence[nn.Module], example: Tensor, repeats: int = 9, threads: int | None = 1
) -> list[float]:
    """Median seconds of a forward pass of several networks, timed in turns.

    A machine that slows down, or is busy for a while, then slows all of them alike.

    Parameters
    ----------
    models : sequence of torch.nn.Module
        Left in the modes they were in.
    example, repeats, threads
        As for `measure`.

    Returns
    -------
    list of float
        One for each network.
    """
    if repeats < 1:
        raise ValueError(f"repeats is at least 1, not {repeats}.")
    before = torch.get_num_threads()
    times: list[list[float]] = [[] for _ in models]
    try:
        torch.set_num_threads(threads or before)
        with ExitStack() as modes:
            for model in models:
                modes.enter_context(evaluating(model))
            for _ in range(repeats + 2):
                for model, seconds in zip(models, times, strict=True):
                    _wait(example.device)
                    began = time.perf_counter()
                    model(example)
                    _wait(example.device)
                    seconds.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(before)
    return [statistics.median(seconds[2:]) for seconds in times]


def device_of(model: nn.Module) -> torch.device:
    """Device of the model's first parameter or buffer; the CPU if it has none."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


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
    return state


def _save(
    path: Path,
    recipe: _Recipe,
    model: nn.Module,
    optimizer: _SGD,
    history: list[dict],
    on_epoch: OnEpoch | None,
) -> None:
    state = {
        "version": _CHECKPOINT_VERSION,
        "recipe": asdict(recipe),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": history,
        "on_epoch": on_epoch.state_dict() if hasattr(on_epoch, "state_dict") else None,
    }
    with replacing(path) as temporary:
        torch.save(state, temporary)


def _restore(
    path: Path,
    recipe: _Recipe,
    model: nn.Module,
    optimizer: _SGD,
    on_epoch: OnEpoch | None,
) -> list[dict]:
    """Take up a checkpoint if there is one, in every process; returns the history so far."""
    state = parallel.first(lambda: read_checkpoint(path) if path.exists() else None)
    if state is None:
        return []
    # Checkpoints from before training could spread do not name a number of processes.
    before = {"processes": 1} | state["recipe"]
    different = differences(before, asdict(recipe))
    if different:
        raise ValueError(
            f"The checkpoint {path} belongs to another training run: {different}. "
            "Repeat the settings to go on with it, or delete it to start over."
        )
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise ValueError(
            f"The checkpoint {path} belongs to another network ({error}). Delete it to start over."
        ) from error
    optimizer.load_state_dict(state["optimizer"])
    if state["on_epoch"] is not None and hasattr(on_epoch, "load_state_dict"):
        parallel.first(lambda: on_epoch.load_state_dict(state["on_epoch"]))
    return state["history"]


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


def _bring(batch: Tensor, device: torch.device) -> Tensor:
    """A batch from the host's memory to a GPU, which does not wait for it."""
    return batch.pin_memory().to(device, non_blocking=True)


def _unpack(data: Dataset | tuple[Tensor, Tensor], augment: bool, device: torch.device):
    """Inputs, labels, normalisation, augmentation (or None)."""
    if isinstance(data, Dataset):
        data = data.near(device)
        crop = data.augment if augment else None
        return data.train_images, data.train_labels, data.to_float, crop
    try:
        inputs, labels = data
    except (TypeError, ValueError):
        raise TypeError(
            f"data is a Dataset or a pair (inputs, labels), not {type(data).__name__}."
        ) from None
    if not inputs.is_floating_point():
        raise TypeError(
            f"Inputs are floating point, not {inputs.dtype}; pass the Dataset itself for images."
        )
    if len(inputs) != len(labels) or len(inputs) < 2:
        raise ValueError(
            f"Training needs two inputs or more and a label for each: got {len(inputs)} inputs and "
            f"{len(labels)} labels."
        )
    return inputs.to(device), labels.to(device), lambda batch: batch, None


def _check(recipe: _Recipe) -> None:
    if recipe.epochs < 1 or not 0 <= recipe.start <= recipe.epochs:
        raise ValueError(
            f"epochs is at least 1 and start lies in 0 .. epochs; got epochs={recipe.epochs}, "
            f"start={recipe.start}."
        )
    if min(recipe.batch_size, recipe.examples) < 2 * recipe.processes and recipe.processes > 1:
        raise ValueError(
            f"Each of {recipe.processes} processes needs two images of a batch, and there are "
            f"{recipe.examples} images in batches of {recipe.batch_size}. Start fewer processes."
        )
    if recipe.batch_size < 2:
        raise ValueError(f"batch_size is at least 2 for batch norm, not {recipe.batch_size}.")
    for name in ("lr", "momentum", "weight_decay", "l1"):
        value = getattr(recipe, name)
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name} is a finite number, at least 0, not {value}.")


def _milestones(epochs: int) -> list[int]:
    """Half and three quarters, rounded up so that a very short run still has a full-rate part."""
    return [-(-epochs // 2), -(-epochs * 3 // 4)]


def _batch_norm_scales(model: nn.Module) -> list[Tensor]:
    return [
        module.weight
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.weight is not None
        and module.weight.requires_grad
    ]


def _epoch_seed(seed: int, epoch: int) -> int:
    return seed * 1_000_003 + epoch


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


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
