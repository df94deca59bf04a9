"""Work of a GPU that is captured once, and then replayed as one CUDA graph.

A graph reads and writes the memory that the work read and wrote when it was captured. So what goes
in lies in tensors that stay, and whoever replays it looks with `places` whether they still do.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

Work = Callable[[], None]


class NotCapturable(Exception):
    """Some work cannot be captured; its words are the reason."""


def captured(
    work: Work, device: torch.device, record: Callable[[Work], Work] | None = None
) -> Work:
    """Capture what a function does on a GPU, and give what does it again. Nothing is computed yet.

    The function should have run before, beside the stream of the caller (`beside`), so that
    libraries have chosen their kernels. Where it fails, nothing is left of the capture, and the
    function can be called as ever.

    Parameters
    ----------
    work : callable
        Without arguments: what it reads and writes lies in tensors that stay.
    device : torch.device
        A GPU.
    record : callable, optional
        What captures. Default: `cuda_graph`.

    Raises
    ------
    NotCapturable
        With what stood in the way: something waited for the device, came from the host, or has a
        shape that depends on values; or the function itself fails.
    torch.OutOfMemoryError
        The GPU is full.
    """
    causes: list[Exception] = []

    def noted() -> None:
        try:
            work()
        except Exception as error:
            causes.append(error)
            raise

    try:
        return cuda_graph(noted, device) if record is None else record(noted)
    except Exception as error:
        # Leaving a capture that has failed fails as well, and says less.
        cause = causes[0] if causes else error
        if device.type == "cuda":
            _clean(device)
        if isinstance(cause, torch.OutOfMemoryError):
            raise cause from None
        reason = str(cause).strip() or type(cause).__name__
        raise NotCapturable(reason.splitlines()[0]) from cause


def cuda_graph(work: Work, device: torch.device) -> Work:
    """Capture work as a CUDA graph; what replays it."""
    with torch.cuda.device(device):
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        # The outer one brings the caller's stream back where a capture fails. Other threads of the
        # process, such as one that reads the energy, may call the driver.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(graph, stream=torch.cuda.Stream(), capture_error_mode="thread_local"),
        ):
            work()
    return graph.replay


def _clean(device: torch.device) -> None:
    """Bring the random numbers of a GPU out of a capture that failed, with one that does not.

    Older versions of PyTorch leave the generator as if it were still being captured, and refuse to
    draw from it ever after.
    """
    with contextlib.suppress(RuntimeError):
        cuda_graph(lambda: torch.zeros((), device=device), device)


@contextlib.contextmanager
def beside(device: torch.device) -> Iterator[None]:
    """Work on a stream of its own, as a capture will, in order with that of the caller."""
    if device.type != "cuda":
        yield
        return
    stream, own = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    own.wait_stream(stream)
    with torch.cuda.stream(own):
        yield
    stream.wait_stream(own)


def places(tensors: Iterable[Tensor]) -> list[tuple]:
    """Where tensors lie in memory, and how: equal as long as a graph may read and write them."""
    return [
        (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        for tensor in tensors
    ]
