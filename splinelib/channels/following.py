"""Follow the channels of a network through a run of it.

Parameters carry fields from the start: the rows of a layer make channels, its columns read them. A
`TorchDispatchMode` sees each operation of ATen, hands it to its rule, and notes the fields of what
it made. So a network is taken as it is: modules, functions, methods, checkpointing and computed
weights all come down to the same operations.
"""

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.utils._python_dispatch import TorchDispatchMode

from ..network.hooks import hooked
from ..network.inputs import Inputs
from ..network.outputs import is_wrapped, tensors_of
from . import rules
from .attention import original_kind
from .axes import is_layer, roles_of
from .calls import Call, tensors_among
from .choices import RANKING
from .fields import Field, Ties, along
from .norms import MIXING, channels_of
from .operations import name_of, rule_of

Block = tuple[str, str]  # module and role


@dataclass
class Followed:
    """What a run says about channels.

    Attributes
    ----------
    ties : Ties
    blocks : dict of (module, role) to Tensor
        Numbers of the channels on one side of a module, for all that took part.
    calls : dict of str to int
        How often each convolution and linear layer was called, in order.
    order : list of str
        Those that were called once, outside `torch.func`: only at them do scores and fits look.
    batch_norms : dict of str to str
        Layer -> the batch norm that alone reads its output.
    hidden : set of str
        Layers that ran inside `torch.func`, where hooks see no values.
    emptied : bool
        Whether an operation had no rows to work on, as an expert to which none is sent.
    heads : bool
        Whether there are layers that run in training only.
    ranks : bool
        Whether an operation ranks numbers, as a detector does its boxes.
    """

    ties: Ties = field(default_factory=Ties)
    blocks: dict[Block, Tensor] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    batch_norms: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    emptied: bool = False
    heads: bool = False
    ranks: bool = False

    @property
    def order(self) -> list[str]:
        once = [name for name, count in self.calls.items() if count == 1]
        return [name for name in once if name not in self.hidden]


class _Follower(TorchDispatchMode):
    watches_a_model = True

    def __init__(self, model: nn.Module, followed: Followed):
        super().__init__()
        self.followed, self.stack = followed, []
        self.owners = {}  # id of a parameter or buffer -> where it belongs
        self.known: dict[int, Sequence[Field]] = {}
        self.vectors: dict[Block, Field] = {}  # what vectors of one side of a module carry
        self.readers: dict[str, list[str]] = {}  # layer -> modules whose operations read it
        self.places = {module: name for name, module in model.named_modules()}
        for module, name in self.places.items():
            for key, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None:
                    self.owners[id(tensor)] = name, module, key, tensor
        self.full = {key for key, owner in self.owners.items() if owner[-1].numel()}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in `network.memory.Marks`

    def of(self, tensor: Tensor) -> Sequence[Field]:
        """The fields of a tensor of the run."""
        key = id(tensor)
        if key in self.known:
            return self.known[key]
        if key in self.owners:
            fields = self.known[key] = self._own(*self.owners[key])
            return fields
        return getattr(tensor, "_channels", ())

    def _own(self, name: str, module: nn.Module, key: str, tensor: Tensor) -> list[Field]:
        """The fields that a parameter or buffer has from the start."""
        fields, blocks, shape = [], self.followed.blocks, tensor.shape
        for axis, role in roles_of(module, key, shape) if shape.numel() > 1 else ():
            side = name, role
            if len(shape) == 1 and side in self.vectors:  # as the four of a batch norm
                fields.append(self.vectors[side])
                continue
            labels = blocks.get(side)
            if labels is None:
                labels = blocks[side] = self.followed.ties.new(shape[axis])
            fields.append(along(labels, shape, axis))
            if len(shape) == 1:
                self.vectors[side] = fields[-1]
        return fields

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        inputs = tensors_among((*args, *kwargs.values()) if kwargs else args)
        # those of the run; nothing needs to be asked of the many that the network holds
        moving = [tensor for tensor in inputs if id(tensor) not in self.full]
        self.note_readers(moving, self.stack[-1][0] if self.stack else "")
        name = name_of(func)
        self.followed.ranks |= name in RANKING
        strides = inputs[0].stride() if name == "as_strided" else ()
        result = func(*args, **kwargs)
        results = tensors_among(result if isinstance(result, list | tuple) else (result,))
        if not any(self.of(tensor) for tensor in inputs):
            return result
        call = Call(
            *(name, func, args, kwargs, inputs, results),
            *(self.followed.ties, self.of, self._where, strides, self._norm()),
        )
        if all(tensor.numel() for tensor in (*moving, *results[:1])):
            rule_of(func)(call)
        else:
            rules.emptied(call)
            self.followed.emptied = True
        for index, tensor in enumerate(results):
            if id(tensor) not in self.owners:
                tensor._channels = tuple(call.made.get(index, ()))
        return result

    def note_readers(self, tensors: Sequence[Tensor], reader: str) -> None:
        """Who reads what a layer says."""
        for tensor in tensors:
            if (maker := getattr(tensor, "_made_by", None)) is not None:
                self.readers.setdefault(maker, []).append(reader)

    def batch_norms(self) -> dict[str, str]:
        """Layer -> the batch norm that alone reads it, and reads nothing else."""
        norms = {name for module, name in self.places.items() if isinstance(module, _BatchNorm)}
        reads = Counter(reader for readers in self.readers.values() for reader in readers)
        return {
            maker: readers[0]
            for maker, readers in self.readers.items()
            if len(readers) == 1 and readers[0] in norms and reads[readers[0]] == 1
        }

    def note_norm(self, name: str, module: nn.Module, read: Tensor) -> None:
        """A norm without parameters has channels all the same: it counts them."""
        if _has_vectors(module) or read.ndim < 2:
            return
        ties, blocks = self.followed.ties, self.followed.blocks
        channels = blocks.setdefault((name, "channel"), ties.new(module.num_features))
        for item in self.of(read):
            if item.axes == {1} and len(channels) == read.shape[1]:
                ties.tie(along(channels, read.shape, 1).labels, item.labels)

    def _norm(self) -> Tensor | None:
        """Channels of the layer or group norm that runs."""
        name, module = self.stack[-1] if self.stack else ("", None)
        if not isinstance(module, MIXING):
            return None
        if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) > 1:
            return None
        if (name, "channel") not in self.followed.blocks:
            channels = self.followed.ties.new(channels_of(module))
            self.followed.blocks[name, "channel"] = channels
        return self.followed.blocks[name, "channel"]

    def _where(self) -> str:
        name, module = self.stack[-1] if self.stack else ("", None)
        return f"{name!r} ({original_kind(module).__name__})" if name else "the model's own forward"


def _has_vectors(norm: nn.Module) -> bool:
    return norm.weight is not None or norm.running_mean is not None


@contextlib.contextmanager
def _watching(follower: _Follower) -> Iterator[None]:
    """Hooks on the modules: who runs, in which order, and which norm reads which layer."""
    followed, stack, places = follower.followed, follower.stack, follower.places

    def enter(module, *_):
        stack.append((places[module], module))

    def count(module, args, kwargs):
        for tensor in tensors_of((args, kwargs))[:1]:
            follower.note_norm(places[module], module, tensor)

    def leave(*_):
        stack.pop()

    def leave_layer(module, _, output):
        stack.pop()
        name = places[module]
        followed.calls[name] = followed.calls.get(name, 0) + 1
        if isinstance(output, Tensor) and is_wrapped(output):
            followed.hidden.add(name)
        elif isinstance(output, Tensor) and id(output) not in follower.owners:
            output._made_by = name

    kinds = _BatchNorm, _InstanceNorm
    counted = [m for m in places if isinstance(m, kinds) and not _has_vectors(m)]
    behind = {module: leave_layer if is_layer(module) else leave for module in places}
    with (
        hooked(dict.fromkeys(places, enter), behind, always=True),
        hooked(dict.fromkeys(counted, count), keywords=True),
    ):
        yield


def follow(model: nn.Module, inputs: Inputs, followed: Followed | None = None) -> Followed:
    """Run a network once and follow its channels, from the rows that make them to its outputs.

    Parameters
    ----------
    model : torch.nn.Module
        In the mode in which it should run. Hooks are put on it and taken off again.
    inputs : Inputs
    followed : Followed or None
        An earlier run, to which this one adds.
    """
    followed = followed or Followed()
    follower = _Follower(model, followed)
    with torch.no_grad(), _watching(follower), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with follower:
            output = inputs.given_to(model)
    outputs = tensors_of(output)
    follower.note_readers(outputs, "")
    followed.batch_norms |= follower.batch_norms()
    for tensor in outputs:
        for item in follower.of(tensor):
            followed.ties.bar(item.labels, "its channels are outputs of the network")
    return followed
