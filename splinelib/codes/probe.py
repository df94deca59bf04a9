"""The codes of the same inputs again and again, while a network trains; on a GPU as one graph."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import warn
from ..network.capturing import NotCapturable, Work, beside, captured, places
from ..network.memory import version_of
from ..network.modes import check_weights, device_of
from ..network.replica import replica
from ..network.surroundings import undisturbed
from .extraction import Collected, region_codes
from .regioncodes import RegionCodes
from .running import Run

# What a module keeps beside weights and modules, and does not change in place.
_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
# Largest share of bits, as a mean over layers, that replayed codes may differ in: those so near to
# zero that another kernel rounds them across.
ROUNDING = 1e-3


class Probe:
    """Inputs whose codes are watched, epoch after epoch.

    The codes are those of `region_codes`. On a GPU that is hundreds of small kernels, each launched
    from Python, for a network of few channels; so it is done once like that, captured as a CUDA
    graph, and replayed from then on. A capture is used only if, replayed at once, it gives the
    codes just taken. It reads weights and buffers where they lie, so training may change them in
    place; where one of them lies elsewhere, or a module, a setting of one or a hook is another, the
    network is captured anew. Where that cannot be, a warning says why, and codes are taken module
    by module.

    It is for networks whose forward does the same work at each call: what Python decides in a
    forward is decided once, at the capture.

    Parameters
    ----------
    inputs : Tensor of shape (N, ...)
        Copied.
    batch_size, smooth, autocast
        As for `region_codes`.
    capture : bool
        Whether to capture where that can be, which is on a GPU.
    record : callable, optional
        As for `captured`; on any device.

    Raises
    ------
    TypeError
        For inputs that are no tensor.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> probe = Probe(torch.randn(100, 2))
    >>> before = probe.codes(net)
    >>> with torch.no_grad():
    ...     _ = net[0].weight.mul_(-1)
    >>> probe.codes(net).distance(before) > 0
    True
    """

    def __init__(
        self,
        inputs: Tensor,
        batch_size: int = 256,
        smooth: str = "raise",
        autocast: torch.dtype | None = None,
        capture: bool = True,
        record: Callable[[Work], Work] | None = None,
    ):
        if not isinstance(inputs, Tensor):
            raise TypeError(f"A probe is a tensor of inputs, not a {type(inputs).__name__}.")
        self._inputs = inputs.detach().clone()
        self._batch_size, self._smooth, self._autocast = batch_size, smooth, autocast
        self._capture, self._record = capture, record
        self._graph: _Graph | None = None

    @undisturbed()
    def codes(self, model: nn.Module) -> RegionCodes:
        """The codes of all inputs, by the network as it is now; errors are `region_codes`'."""
        if not self._capture or not (self._record or on_a_gpu(model)):
            return self._plain(model)
        if self._graph is not None and self._graph.is_of(model):
            check_weights(model)
            return self._graph.codes()
        self._graph = None  # its memory is free for the next
        device = device_of(model)
        self._inputs = self._inputs.to(device)
        with beside(device):
            codes = self._plain(model)
        try:
            graph = _Graph(
                *(model, self._inputs.split(self._batch_size), codes),
                *(self._smooth, self._autocast, self._record),
            )
            if graph.codes().distance(codes) > ROUNDING:
                raise NotCapturable("replayed at once, it gives other codes")
            self._graph = graph
        except (NotCapturable, torch.OutOfMemoryError) as reason:
            self._capture = False
            first, *_ = str(reason).splitlines() or [type(reason).__name__]
            warn(
                "Taking the codes of this network cannot be captured as a CUDA graph, so it is "
                f"done module by module, which is slower: {first}"
            )
        return codes

    def _plain(self, model: nn.Module) -> RegionCodes:
        return region_codes(model, self._inputs, self._batch_size, self._smooth, self._autocast)


def on_a_gpu(model: nn.Module) -> bool:
    """Whether a model is where work can be captured."""
    return device_of(model).type == "cuda"


class _Graph:
    """A captured run of one network on batches that stay."""

    def __init__(
        self,
        model: nn.Module,
        batches: tuple[Tensor, ...],
        codes: RegionCodes,
        smooth: str,
        autocast: torch.dtype | None,
        record: Callable[[Work], Work] | None,
    ):
        self._batches, self._inputs = batches, codes.inputs
        self._modules = list(model.modules())  # kept, so that no other is taken for one of them
        self._told = [_told(module) for module in self._modules]
        # The run has modules of its own, with the model's weights; where a replica has copies, the
        # graph begins with bringing them up to date.
        twin = replica(model).eval()
        own, theirs = ([*module.parameters(), *module.buffers()] for module in (twin, model))
        pairs = [(mine, it) for mine, it in zip(own, theirs, strict=True) if mine is not it]
        with torch.no_grad():
            self._run = Run(twin, batches[0], smooth, autocast, asks=False)
        if self._run.composed:
            raise NotCapturable("its activations are written by hand")
        self._packed: list[list[Tensor]] = []

        @torch.no_grad()
        def work() -> None:
            for mine, it in pairs:
                mine.copy_(it)
            self._run.forget_numbers()
            self._packed = [self._run.packed(batch) for batch in batches]

        self._replay = captured(work, batches[0].device, record)

    def is_of(self, model: nn.Module) -> bool:
        """Whether it would read what the model is made of now."""
        modules = list(model.modules())
        return (
            len(modules) == len(self._modules)
            and all(one is two for one, two in zip(modules, self._modules, strict=True))
            and [_told(module) for module in modules] == self._told
        )

    def codes(self) -> RegionCodes:
        """Replay the run, and bring what it packed to the host."""
        self._replay()
        collected = Collected(sum(map(len, self._batches)))
        for batch, packed in zip(self._batches, self._packed, strict=True):
            collected.add(packed, len(batch))
        arrays = collected.finish()
        self._run.check_numbers()
        layers = self._run.layers
        return RegionCodes(layers, dict(zip(layers, arrays, strict=True)), self._inputs)


def _told(module: nn.Module) -> tuple:
    """What a run takes from a module itself, but for the numbers in its weights and buffers."""
    state = vars(module)
    registered = [*module._parameters.items(), *module._buffers.items()]
    weights = [(name, places([t] if t is not None else [])) for name, t in registered]
    others = [(n, places([t]), version_of(t)) for n, t in state.items() if isinstance(t, Tensor)]
    plain = {name: v for name, v in state.items() if name != "training" and _is_plain(v)}
    hooks = [*module._forward_pre_hooks, *module._forward_hooks]
    return type(module), list(module._modules), weights, others, plain, hooks


def _is_plain(value) -> bool:
    return isinstance(value, _PLAIN) or (
        isinstance(value, tuple) and all(isinstance(item, _PLAIN) for item in value)
    )
