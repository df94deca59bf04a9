"""One step of training, eager or replayed as one CUDA graph.

A step makes its batch (gather, crop, mirror, normalise), then goes forward, to the loss, backward,
and descends.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .. import parallel
from ..errors import warn
from ..network.capturing import NotCapturable, Work, beside, captured, places
from .batches import Batch
from .sgd import SGD

# Eager steps before a capture, in which libraries choose their kernels and allocate.
WARM_UP = 3


class Step:
    """Eager steps, with sums that stay on the device: reading them would wait for every step.

    Parameters
    ----------
    model : torch.nn.Module
        In training mode when a step is made.
    optimizer : SGD
    l1 : float
        Penalty on the scales of batch norms.
    make : callable
        `Batches.make`: inputs and targets of what was drawn of a batch.
    device : torch.device

    Attributes
    ----------
    loss_sum, correct : Tensor
        Since `begin`: the sum of the losses, float32, and how many were classified rightly, int64.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: SGD,
        l1: float,
        make: Callable[..., tuple[Tensor, Tensor]],
        device: torch.device,
    ):
        self.model, self.optimizer, self.l1, self.make = model, optimizer, l1, make
        self.device = device
        self.scales = _batch_norm_scales(model) if l1 else []
        self.loss_sum = torch.zeros((), device=device, dtype=torch.float32)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)

    def begin(self) -> None:
        """Start the sums anew."""
        self.loss_sum.zero_()
        self.correct.zero_()

    def __call__(self, batch: Batch, rate: float) -> None:
        """Make one step on a batch, or on this process' part of it."""
        self._work(batch.drawn, batch.size, rate)

    def _work(self, drawn: tuple[Tensor, ...], size: int, rate: float | Tensor) -> None:
        kind = self.device.type
        inputs, targets = self.make(*drawn)
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            logits = self.model(inputs)
            loss = nn.functional.cross_entropy(logits, targets)
        if not loss.requires_grad:
            raise ValueError(
                "Nothing that the outputs depend on can be trained: its parameters have "
                "requires_grad=False. Call requires_grad_() on those that should learn."
            )
        self.optimizer.zero_grad()
        # Gradients are averaged over processes: parts of unequal size count by their size.
        weight = len(targets) * parallel.processes() / size
        (loss if weight == 1 else loss * weight).backward()
        for scale in self.scales:
            if scale.grad is not None:  # of a batch norm that ran
                scale.grad.add_(scale.detach().sign(), alpha=self.l1)
        self.optimizer.step(rate)
        self.loss_sum += loss.detach() * len(targets)
        self.correct += (logits.detach().argmax(1) == targets).sum()


class CapturedStep(Step):
    """Steps that are captured once and then replayed as one CUDA graph.

    A step of a deep, narrow network is hundreds of small kernels, and an eager step waits for
    Python to launch them. A graph is launched as a whole. What was drawn of a batch is copied to
    where the graph reads it; drawing stays outside, so that eager and captured steps draw the same.
    The first steps are eager, and so is any batch of another shape, such as the last of an epoch.
    The arithmetic is that of eager steps.

    It is for networks whose forward does the same work at each step: what Python decides in a
    forward is decided once, at the capture. Where a step cannot be captured, a warning says why,
    and steps go on eagerly. Where a weight has come to lie elsewhere by the next epoch, the step is
    captured anew.

    Parameters
    ----------
    model, optimizer, l1, make, device
        As for `Step`; the device is a GPU.
    record : callable, optional
        As for `captured`.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: SGD,
        l1: float,
        make: Callable[..., tuple[Tensor, Tensor]],
        device: torch.device,
        record: Callable[[Work], Work] | None = None,
    ):
        super().__init__(model, optimizer, l1, make, device)
        self._record = record
        self._warm, self._capturable = 0, True
        self._replay: Work | None = None
        self._places: list[tuple] = []  # of all that the graph reads and writes
        self._shapes: list[torch.Size] | None = None  # of a whole batch, such as the first
        self._rate = torch.zeros((), device=device, dtype=torch.float32)

    def begin(self) -> None:
        """Start the sums anew, and forget a capture of tensors that lie elsewhere now."""
        super().begin()
        if self._replay is not None and self._places != self._placed():
            self._replay, self._warm = None, 0

    def __call__(self, batch: Batch, rate: float) -> None:
        shapes = [tensor.shape for tensor in batch.drawn]
        self._shapes = self._shapes or shapes
        if not self._capturable or shapes != self._shapes:
            return super().__call__(batch, rate)
        if self._replay is None and self._warm < WARM_UP:
            self._warm += 1
            with beside(self.device):
                return super().__call__(batch, rate)
        if self._replay is None:
            self._capture(batch)
        if self._replay is None:
            return super().__call__(batch, rate)
        for buffer, tensor in zip(self._drawn, batch.drawn, strict=True):
            buffer.copy_(tensor)
        self._rate.fill_(rate)
        self._replay()

    def _capture(self, batch: Batch) -> None:
        """Record a step on buffers of the shapes of this batch. Nothing is computed meanwhile."""
        # Filled, as a first look at them may be by index.
        self._drawn = tuple(tensor.clone() for tensor in batch.drawn)
        self.optimizer.zero_grad()  # so that the graph makes gradients rather than adding to them
        self._places = self._placed()
        try:
            self._replay = captured(
                lambda: self._work(self._drawn, batch.size, self._rate), self.device, self._record
            )
        except NotCapturable as reason:
            self._capturable = False
            warn(
                "This network's training step cannot be captured as a CUDA graph, so it is made "
                f"step by step, which is slower: {reason}"
            )

    def _placed(self) -> list[tuple]:
        model = self.model
        return places([*model.parameters(), *model.buffers(), *self.optimizer.buffers])


def _batch_norm_scales(model: nn.Module) -> list[Tensor]:
    return [
        module.weight
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.weight is not None
        and module.weight.requires_grad
    ]
