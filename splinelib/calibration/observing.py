"""What layers read and say while calibration inputs pass through a network.

Where there are more rows than a regression needs, a seeded sample of them is taken.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..network.modes import evaluating
from ..network.outputs import floating_tensors
from ..network.overflow import holds_nan, overflow
from ..randomness import generator_of
from .im2col import columns, output_rows, rows_shape
from .layer_maps import LayerMap, autocast_of, has_rows, is_plain, layer_map, rounding_to

# Rows of a regression for each of its columns, and at least this many altogether. With twice as
# many a full-width VGG-16 comes no closer: the squared error of the logits of held-out images is
# the same at 30 and 50 % removed, and lower by half a percent of itself at 70 %.
_ROWS_PER_COLUMN = 4
_MIN_ROWS = 16384
# Inputs that pass through a network at a time; of images on a CPU so few that what one layer
# hands to the next stays in the cache.
_BATCH, _BATCH_OF_IMAGES = 256, 64
# Numbers in a network's outputs beyond which no further batch of them is held.
_ANSWERS = 1 << 26


def batches(data: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """A batch of the data at a time, and the rows of the other tensors that go with it."""
    images = data.ndim > 2 and data.device.type == "cpu"
    size = _BATCH_OF_IMAGES if images else _BATCH
    return zip(*(tensor.split(size) for tensor in (data, *others)), strict=True)


def channels_last(model: nn.Module, data: Tensor) -> Tensor:
    """Images with their channels side by side in memory, where the model takes them so.

    On a CPU a network of convolutions is then faster by a third, and a patch is a few runs of
    memory. A model that calls ``view`` on its activations refuses: it gets the data as they are.
    """
    if data.ndim != 4 or data.device.type != "cpu":
        return data
    try:
        with evaluating(model), torch.no_grad():
            model(data[:1].clone(memory_format=torch.channels_last))
    except RuntimeError:
        return data
    return data.contiguous(memory_format=torch.channels_last)


class Call(NamedTuple):
    """One call of a layer while inputs pass through a network.

    Attributes
    ----------
    layer : torch.nn.Module
    args, kwargs
        What it was called with, behind its pre-hooks.
    output
        What it said, as those behind it see it.
    batch : int
        How many inputs of the network are under way.
    plain : bool
        As in `layer_map`.
    autocast : torch.dtype or None
        To which type it rounds, if it runs under autocast.
    """

    layer: nn.Module
    args: tuple
    kwargs: dict
    output: Any
    batch: int
    plain: bool
    autocast: torch.dtype | None = None

    def map(self) -> LayerMap | None:
        """The linear map that the layer is on these inputs; None if it cannot be told."""
        with rounding_to(self.autocast, self.layer.weight.device.type):
            return layer_map(self.layer, self.args, self.kwargs, self.output, self.plain)


@torch.no_grad()
def observe(
    model: nn.Module,
    data: Tensor,
    lookers: Iterable[tuple[str, Callable[[Call], None]]],
    whole: bool = False,
) -> None:
    """Run the model on all data, in batches, and show what the modules that are named do.

    Lookers are called in full precision, under whatever autocast the model runs a module.

    Parameters
    ----------
    model : torch.nn.Module
    data : Tensor, shape (N, ...)
    lookers : iterable of (str, callable)
        Names of modules, and who is shown each of their calls.
    whole : bool
        All data at once in place of batches.

    Raises
    ------
    ValueError
        If the model's outputs are NaN; names the module where that begins.
    """
    data, modules = channels_last(model, data), dict(model.named_modules())
    lookers = [(modules[name], look) for name, look in lookers]
    plain = {module: is_plain(module) for module, _ in lookers}
    size, device = len(data), data.device.type

    def hook_of(module: nn.Module, look: Callable[[Call], None]):
        def hook(layer: nn.Module, args: tuple, kwargs: dict, output) -> None:
            if layer is not module:  # a copy that is run to see what the layer does
                return
            call = Call(layer, args, kwargs, output, size, plain[module], autocast_of(device))
            with rounding_to(None, device), torch.no_grad():  # a forward may set it
                look(call)

        return hook

    handles = [m.register_forward_hook(hook_of(m, look), with_kwargs=True) for m, look in lookers]
    try:
        with evaluating(model):
            for (batch,) in [(data,)] if whole else batches(data):
                size = len(batch)
                if holds_nan(model(batch.clone())):
                    raise ValueError(overflow(model, batch))
    finally:
        for handle in handles:
            handle.remove()


def rows_needed(layer: nn.Module) -> int:
    """Enough rows for a stable regression on all columns of a layer."""
    return max(_MIN_ROWS, _ROWS_PER_COLUMN * columns(layer))


def sample_rows(available: int, needed: int, seed: int) -> Tensor:
    """Sorted row numbers, all of them or a seeded sample without repetition, int64."""
    if available <= needed:
        return torch.arange(available)
    generator = generator_of(seed)
    return torch.randperm(available, generator=generator)[:needed].sort().values


class RowSample:
    """A seeded sample of rows, one for each (input, position), that pass by in batches.

    A layer that does not get an entry for each input of the network (an expert to which some of
    them are sent, time steps or windows in front of the inputs) makes a number of rows that nobody
    knows beforehand. Its sample is one of each batch, in proportion to the inputs.

    Parameters
    ----------
    inputs : int
        How many there are in all batches.
    needed : int
        Rows to choose; all are taken if there are no more.
    seed : int

    Attributes
    ----------
    rows : Tensor, int64, or None
        Row numbers, sorted; known from the first batch on.
    uneven : bool
        Whether a batch did not hold an entry for each input.
    seen : int
        Rows that have passed by.
    """

    def __init__(self, inputs: int, needed: int, seed: int):
        self.inputs, self.needed, self.seed = inputs, needed, seed
        self.rows, self.uneven, self.seen = None, False, 0

    def next(self, shape: Sequence[int], batch: int | None = None) -> Tensor:
        """Chosen rows of the next batch, counted within it; ``shape`` is (n, *positions).

        ``batch`` is the number of inputs, if that may be another one than n.
        """
        total, start = math.prod(shape), self.seen
        batch = shape[0] if batch is None else batch
        uneven = shape[0] != batch
        if self.rows is None and not uneven:
            available = self.inputs * math.prod(shape[1:])
            self.rows = sample_rows(available, self.needed, self.seed)
        self.seen += total
        self.uneven = self.uneven or uneven
        if not self.uneven:
            first, last = torch.searchsorted(self.rows, torch.tensor([start, self.seen])).tolist()
            return self.rows[first:last] - start
        rows = sample_rows(total, -(-self.needed * batch // self.inputs), self.seed + start)
        known = rows[:0] if self.rows is None else self.rows[self.rows < start]
        self.rows = torch.cat([known, rows + start])
        return rows


class Outputs:
    """What a layer says at a sample of rows, enough for a regression on what it reads.

    Parameters
    ----------
    layer : torch.nn.Module
    inputs : int
        How many there are in all batches.
    seed : int
    channels : Tensor, int64, optional
        Those to keep; all if it is not given.
    """

    def __init__(self, layer: nn.Module, inputs: int, seed: int, channels: Tensor | None = None):
        self.sample, self.channels = RowSample(inputs, rows_needed(layer), seed), channels
        self._parts: list[Tensor] = []

    def look(self, call: Call) -> None:
        """For `observe`: note the chosen rows of this call."""
        if has_rows(call.layer, call.output):
            self.hook(call.layer, None, call.output, call.batch)

    def hook(self, layer: nn.Module, _, output: Tensor, batch: int | None = None) -> None:
        """A forward hook for the layer: note the chosen rows of this batch."""
        rows = output_rows(layer, output, self.sample.next(rows_shape(layer, output), batch))
        self._parts.append(_chosen(rows, self.channels))

    def values(self, channels: Tensor | None = None) -> Tensor | None:
        """What was said in those of the channels, shape (R, channels); None if it never ran."""
        if not self._parts:
            return None
        self._parts = [torch.cat(self._parts)]
        return _chosen(self._parts[0], channels)


class Answers:
    """What a whole network gives, batch by batch, as lists of its floating-point tensors.

    Of outputs as large as images the first batches only are held.

    Attributes
    ----------
    batches : list of list of Tensor
    """

    def __init__(self):
        self.batches: list[list[Tensor]] = []
        self._room = _ANSWERS

    def look(self, call: Call) -> None:
        """For `observe`, under the name of the network itself, which is empty."""
        if self._room > 0:
            self.batches.append(floating_tensors(call.output))
            self._room -= sum(tensor.numel() for tensor in self.batches[-1])


def _chosen(rows: Tensor, channels: Tensor | None) -> Tensor:
    return rows if channels is None else rows[:, channels.to(rows.device)]
