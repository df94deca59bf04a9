"""Which rows a run goes on with: choices by size, noted in one run and made again in another.

A detector ranks its boxes and goes on with some of them. Where two boxes are nearly as good,
rounding decides, and behind that two networks that compute the same say different things. So both
are made to choose what the whole network chose. What they chose from is then held against each
other as well, as if a layer said it: what is wrong before a choice shows there, and what is wrong
behind it shows since both go on with the same.

A choice is made again only where all but the numbers is as in the whole network: the shapes of what
it is made from, and the other arguments. One between the channels of a layer that lost some, or of
as many rows as a layer has channels, is left to each network. So is what becomes a single number,
as a condition that decides which part of a network runs.
"""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ..network.inputs import Inputs
from .calls import arguments_of, tensors_among
from .operations import name_of
from .saying import Lengths, Said, said_by

RANKING = frozenset({"nms", "topk", "sort", "argsort", "argmax", "argmin"})
# Values, and where along an axis they stand.
_PLACES = frozenset(
    {"topk", "sort", "max", "min", "kthvalue", "median", "nanmedian", "mode", "cummax", "cummin"}
)
_STEPS = frozenset({"floor", "ceil", "round", "trunc", "sign"})  # fall on one side or the other
_HEARD = 2**16  # numbers of each tensor that was chosen from, at most twice as many

Key = tuple[str, int]  # an operation, and how often it has been called before


@dataclass(frozen=True)
class Choice:
    """What an operation was given, numbers of tensors aside, and what it chose."""

    given: list
    chosen: Tensor


class Choices(TorchDispatchMode):
    """While it is entered, choices of a run are noted, or those of an earlier run made again.

    Parameters
    ----------
    earlier : Choices, optional
        Of a run of the whole network.
    only : container of (str, int), optional
        Which choices of it are made again: what another run has `taken`.

    Attributes
    ----------
    made : dict of (str, int) to Choice
        Without an earlier run: each choice by its operation, and how often that had been called.
    taken : set of (str, int)
        Those that were made again.
    said : dict of str to list of Tensor, float32
        What was chosen from; of many numbers, some.
    """

    def __init__(self, earlier: "Choices | None" = None, only: Container[Key] | None = None):
        super().__init__()
        self.made: dict[Key, Choice] = {}
        self.taken: set[Key] = set()
        self.said: Said = {}
        self._earlier, self._only = earlier, only
        self._counts: Counter[str] = Counter()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in `network.memory.Marks`

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        chosen = _chosen(func, result)
        if chosen is None:
            return result
        tensors = tensors_among((*args, *kwargs.values()))
        if not any(tensor.is_floating_point() for tensor in tensors):
            return result
        name = name_of(func)
        key = name, self._counts[name]
        self._counts[name] += 1
        given = _without_numbers((*args, *sorted(kwargs.items())))
        if self._earlier is None:
            self.made[key] = Choice(given, chosen.clone())
        elif not self._fits(key, given, chosen):
            return result
        self.said[f"{name}, call {key[1] + 1}"] = [_some(tensor) for tensor in tensors]
        if self._earlier is None:
            return result
        self.taken.add(key)
        again = self._earlier.made[key].chosen.clone()  # a network may write to it
        return again if isinstance(result, Tensor) else _at(func, args, kwargs, again)

    def _fits(self, key: Key, given: list, chosen: Tensor) -> bool:
        """Whether the earlier run made a choice that can be made here."""
        before = self._earlier.made.get(key)
        if before is None or (self._only is not None and key not in self._only):
            return False
        return before.given == given and before.chosen.dtype == chosen.dtype


def says(
    model: nn.Module, inputs: Inputs, choices: Choices | None, lengths: Lengths | None = None
) -> Said:
    """What `said_by` gives, and before the outputs what was chosen from."""
    if choices is None:
        return said_by(model, inputs, lengths)
    with choices:
        said = said_by(model, inputs, lengths)
    outputs = said.pop("")
    return {**said, **choices.said, "": outputs}


def _chosen(func, result) -> Tensor | None:
    """What an operation chooses, if it does: positions, truth values, whole numbers."""
    if func._schema.is_mutable or torch.Tag.nondeterministic_seeded in func.tags:
        return None
    name = name_of(func)
    if isinstance(result, Tensor):
        chooses = name in _STEPS or not (result.is_floating_point() or result.is_complex())
        return result if chooses and result.ndim else None
    if name in _PLACES and isinstance(result, tuple | list) and len(result) == 2:
        return result[1] if result[1].ndim else None
    return None


def _without_numbers(values) -> list:
    """Arguments, with shapes in place of tensors."""
    return [
        tuple(value.shape)
        if isinstance(value, Tensor)
        else _without_numbers(value)
        if isinstance(value, tuple | list)
        else value
        for value in values
    ]


def _at(func, args: tuple, kwargs: dict, places: Tensor) -> tuple[Tensor, Tensor]:
    """What an operation that chooses places along an axis gives if it chooses these."""
    given = arguments_of(func, args, kwargs)
    values, axis = given["self"], given["dim"]
    if places.ndim < values.ndim:
        return values.gather(axis, places.unsqueeze(axis)).squeeze(axis), places
    return values.gather(axis, places), places


def _some(tensor: Tensor) -> Tensor:
    numbers = tensor.detach().reshape(-1)
    # an odd step, so that it does not meet the same columns again and again
    return numbers[:: max(1, len(numbers) // _HEARD) | 1].float().clone()
