"""The tensors in what a model takes or returns, however they are packed."""

from collections.abc import Mapping

from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor

# What holds no tensor: walking into it would be slow, or never end.
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type)


def tensors_of(output) -> list[Tensor]:
    """The tensors in a tensor, tuple, list, mapping, dataclass or object, each once, in order.

    ``None`` and numbers hold none. Objects are walked by their attributes, so that outputs such as
    a dataclass with ``logits`` and ``loss`` need no registration.
    """
    found: list[Tensor] = []
    seen: set[int] = set()

    def walk(item) -> None:
        if isinstance(item, _PLAIN) or id(item) in seen:
            return
        seen.add(id(item))
        if isinstance(item, Tensor):
            found.append(item)
        elif isinstance(item, Mapping):
            for value in item.values():
                walk(value)
        elif isinstance(item, list | tuple | set | frozenset):
            for value in item:
                walk(value)
        elif hasattr(item, "__dict__"):
            for value in vars(item).values():
                walk(value)
        else:
            for key in getattr(type(item), "__slots__", ()):
                walk(getattr(item, key, None))

    walk(output)
    return found


def floating_tensors(output) -> list[Tensor]:
    """Those of `tensors_of` that hold floating-point numbers."""
    return [tensor for tensor in tensors_of(output) if tensor.is_floating_point()]


def as_rows(values: Tensor) -> Tensor:
    """Values of N inputs as a row for each, shape (N, C); one number for each is a row of one.

    Examples
    --------
    >>> import torch
    >>> as_rows(torch.zeros(3, 2, 4)).shape, as_rows(torch.zeros(3)).shape
    (torch.Size([3, 8]), torch.Size([3, 1]))
    """
    return values.flatten(1) if values.dim() > 1 else values.unsqueeze(1)


def is_wrapped(tensor: Tensor) -> bool:
    """Whether it stands for tensors inside `torch.func`, and holds no values once that is over."""
    return is_functorch_wrapped_tensor(tensor)
