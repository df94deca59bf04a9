"""One step of training: forward, loss, backward, descent; eager, or replayed as one CUDA graph."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .. import parallel
from ..errors import warn
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
    device : torch.device

    Attributes
    ----------
    loss_sum, correct : Tensor
        Since `begin`: the sum of the losses, float32, and how many were classified rightly, int64.
    """

    def __init__(self, model: nn.Module, optimizer: SGD, l1: float, device: torch.device):
        self.model, self.optimizer, self.l1, self.device = model, optimizer, l1, device
        self.scales = _batch_norm_scales(model) if l1 else []
        self.loss_sum = torch.zeros((), device=device, dtype=torch.float32)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)

    def begin(self) -> None:
        """Start the sums anew."""
        self.loss_sum.zero_()
        self.correct.zero_()

    def __call__(self, inputs: Tensor, targets: Tensor, size: int, rate: float) -> None:
        """Make one step on a batch, or on this process' part of a batch of `size` inputs."""
        self._work(inputs, targets, size, rate)

    def _work(self, inputs: Tensor, targets: Tensor, size: int, rate: float | Tensor) -> None:
        kind = self.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            logits = self.model(inputs)
            loss = nn.functional.cross_entropy(logits, targets)
        self.optimizer.zero_grad()
        # Gradients are averaged over processes: parts of unequal size count by their size.
        weight = len(targets) * parallel.processes() / size
        (loss if weight == 1 else loss * weight).backward()
        for scale in self.scales:
            scale.grad.add_(scale.detach().sign(), alpha=self.l1)
        self.optimizer.step(rate)
        self.loss_sum += loss.detach() * len(targets)
        self.correct += (logits.detach().argmax(1) == targets).sum()


class CapturedStep(Step):
    """Steps that are captured once and then replayed as one CUDA graph.

    A step of a deep, narrow network is hundreds of small kernels, and an eager step waits for
    Python to launch them. A graph is launched as a whole. The first steps are eager, and so is any
    batch of another shape. The arithmetic is that of eager steps.

    It is for networks whose forward does the same work at each step: what Python decides in a
    forward is decided once, at the capture. Where a step cannot be captured, a warning says why,
    and steps go on eagerly.

    Parameters
    ----------
    model, optimizer, l1, device
        As for `Step`; the device is a GPU.
    record : callable, optional
        Captures what a function does, and returns what replays it. Default: a CUDA graph.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: SGD,
        l1: float,
        device: torch.device,
        record: Callable[[Callable[[], None]], Callable[[], None]] | None = None,
    ):
        super().__init__(model, optimizer, l1, device)
        self._record = record or _cuda_graph
        self._warm, self._replay, self._capturable = 0, None, True
        self._shape: torch.Size | None = None  # of a whole batch, such as the first
        self._rate = torch.zeros((), device=device, dtype=torch.float32)

    def __call__(self, inputs: Tensor, targets: Tensor, size: int, rate: float) -> None:
        self._shape = self._shape or inputs.shape
        if not self._capturable or inputs.shape != self._shape:
            return self._work(inputs, targets, size, rate)
        if self._replay is None and self._warm < WARM_UP:
            self._warm += 1
            with _beside(self.device):
                return self._work(inputs, targets, size, rate)
        if self._replay is None:
            self._capture(inputs, targets, size)
        if self._replay is None:
            return self._work(inputs, targets, size, rate)
        self._inputs.copy_(inputs)
        self._targets.copy_(targets)
        self._rate.fill_(rate)
        self._replay()

    def _capture(self, inputs: Tensor, targets: Tensor, size: int) -> None:
        """Record a step on buffers of the shape of this batch. Nothing is computed meanwhile."""
        self._inputs, self._targets = torch.empty_like(inputs), torch.empty_like(targets)
        self.optimizer.zero_grad()  # so that the graph makes gradients rather than adding to them
        try:
            self._replay = self._record(
                lambda: self._work(self._inputs, self._targets, size, self._rate)
            )
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._capturable = False
            warn(
                "This network's training step cannot be captured as a CUDA graph, so it is made "
                f"step by step, which is slower: {str(error).splitlines()[0]}"
            )


def _cuda_graph(work: Callable[[], None]) -> Callable[[], None]:
    """Capture work as a CUDA graph; what replays it."""
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    # Other threads of the process, such as one that reads the energy, may call the driver.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    return graph.replay


@contextmanager
def _beside(device: torch.device) -> Iterator[None]:
    """Work on a stream of its own, as a capture will, in order with that of the caller."""
    if device.type != "cuda":
        yield
        return
    stream, own = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    own.wait_stream(stream)
    with torch.cuda.stream(own):
        yield
    stream.wait_stream(own)


def _batch_norm_scales(model: nn.Module) -> list[Tensor]:
    return [
        module.weight
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.weight is not None
        and module.weight.requires_grad
    ]
