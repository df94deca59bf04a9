"""What a public function finds around it in torch, and leaves as it was.

A result should not depend on the autocast, inference mode or default device of whoever calls, and
an interruption (Ctrl-C in a notebook) may come at any line, between a mode's entering and the
block that would leave it.
"""

import functools
import inspect
import operator
import sys
from collections.abc import Callable

import torch
import torch.overrides
import torch.utils._python_dispatch as dispatching
from torch import Tensor
from torch.utils import _device

from .modes import check_module
from .replica import replica


def undisturbed(*models: str, compiled: bool = False) -> Callable:
    """Make a public function independent of its surroundings, and these of it.

    The function runs without autocast and inference mode, and makes its tensors on the CPU unless
    it says where. Modules that `torch.compile` made run as they are written, so that hooks see what
    they do. However it ends, torch's modes are afterwards what they were before.

    Parameters
    ----------
    *models : str
        Parameters of the function that are models: it gets a `replica` of each, so that names,
        hooks and modes that it puts on them touch no model of the caller's, and other threads may
        run these meanwhile.
    compiled : bool
        Whether compiled modules run compiled all the same, as where their speed is what counts.

    Raises
    ------
    TypeError
        From the function made: if it is given something else as a model.
    RuntimeError
        From the function made: if it is called while splinelib is watching a model run, that is
        from a forward method or a hook.
    """

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)
        places = [(list(signature.parameters).index(name), name) for name in models]
        needed = {n for n in models if signature.parameters[n].default is inspect.Parameter.empty}

        @functools.wraps(function)
        def run(*args, **kwargs):
            before = _State(compiled)
            before.check_not_watched(function.__name__)
            try:
                try:
                    before.leave()
                    args = [_usual(value) for value in args]
                    kwargs = {name: _usual(value) for name, value in kwargs.items()}
                    for place, name in places:
                        if place < len(args):
                            args[place] = replica(_checked(name, args[place], name in needed))
                        elif name in kwargs:
                            kwargs[name] = replica(_checked(name, kwargs[name], name in needed))
                    return function(*args, **kwargs)
                finally:
                    before.restore()
            finally:  # an interruption may have come within the restoring
                before.restore()

        return run

    return decorate


def _checked(name: str, value, needed: bool):
    """A parameter that is a model, or None where it may be left out."""
    if needed or value is not None:
        check_module(name, value)
    return value


def _usual(value):
    """A tensor that was made in inference mode as one that autograd takes."""
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


class _State:
    """Torch's modes in this thread, and whether compiled modules run compiled."""

    def __init__(self, compiled: bool):
        self._compiled = compiled
        self._functions = torch.overrides._get_current_function_mode_stack()
        self._dispatches = dispatching._get_current_dispatch_mode_stack()
        self._device = _device.CURRENT_DEVICE
        self._grad = torch.is_grad_enabled()
        inference = torch.is_inference_mode_enabled()
        self._guard = torch.inference_mode(False) if inference else None
        self._autocast = {
            k: (torch.is_autocast_enabled(k), torch.get_autocast_dtype(k)) for k in _kinds()
        }
        self._depth = _autocast_depth()

    def check_not_watched(self, name: str) -> None:
        """Raise `RuntimeError` within a run that is being watched."""
        for mode in (*self._functions, *self._dispatches):
            if getattr(mode, "watches_a_model", False):
                raise RuntimeError(
                    f"{name} was called while splinelib watches a model run: from the forward "
                    "method of that model, or from a hook on it. Call it outside of them"
                )

    def leave(self) -> None:
        """Go out of inference mode, autocast and default device, until `restore`."""
        if not self._compiled:
            _EAGER.begin(self)
        if self._guard is not None:
            self._guard.__enter__()
        for kind, (enabled, _) in self._autocast.items():
            if enabled:
                torch.set_autocast_enabled(kind, False)
        if any(isinstance(mode, _device.DeviceContext) for mode in self._functions):
            _device.DeviceContext("cpu").__enter__()  # in place of the one that is there

    def restore(self) -> None:
        """Bring back what was; does so as often as it is called."""
        _EAGER.end(self)
        if not _same(torch.overrides._get_current_function_mode_stack(), self._functions):
            while torch.overrides._get_current_function_mode_stack():
                torch.overrides._pop_mode()
            for mode in self._functions:
                torch.overrides._push_mode(mode)
        _device.CURRENT_DEVICE = self._device
        while len(dispatching._get_current_dispatch_mode_stack()) > len(self._dispatches):
            dispatching._get_current_dispatch_mode_stack()[-1].__exit__(None, None, None)
        if self._guard is not None and not torch.is_inference_mode_enabled():
            self._guard.__exit__(None, None, None)
        if torch.is_grad_enabled() != self._grad:
            torch.set_grad_enabled(self._grad)
        for kind, (enabled, dtype) in self._autocast.items():
            torch.set_autocast_enabled(kind, enabled)
            torch.set_autocast_dtype(kind, dtype)
        while _autocast_depth() > self._depth:
            torch.autocast_decrement_nesting()


class _Eager:
    """Compiled modules run as they are written while somebody needs that, in whatever thread.

    Torch has one stance for the whole process: whoever comes takes it, and the last who goes brings
    back what was before. There is no lock, which an interruption could leave locked.
    """

    def __init__(self):
        self._here, self._taken = set(), []

    def begin(self, who: _State) -> None:
        # Without the compiler loaded nothing can be compiled, and to load it takes long.
        if "torch._dynamo" not in sys.modules:
            return
        self._here.add(who)
        self._taken.append(torch.compiler.set_stance("force_eager"))

    def end(self, who: _State) -> None:
        if self._here == {who}:
            for taken in [*self._taken]:
                if taken.prev.stance != "force_eager":  # which the others found
                    taken.__exit__(None, None, None)
            self._taken.clear()
        self._here.discard(who)


_EAGER = _Eager()


def _same(modes: list, others: list) -> bool:
    return len(modes) == len(others) and all(a is b for a, b in zip(modes, others, strict=True))


@functools.cache
def _kinds() -> list[str]:
    """Kinds of device that autocast may be on for."""
    there = (getattr(torch, kind, None) for kind in ("cuda", "mps", "xpu"))
    return ["cpu", *(m.__name__.split(".")[-1] for m in there if m and m.is_available())]


def _autocast_depth() -> int:
    # In one call of C, so that no interruption comes in between.
    both = torch.autocast_increment_nesting, torch.autocast_decrement_nesting
    return list(map(operator.call, both))[1]
