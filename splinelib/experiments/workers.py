"""Processes of this machine that work for this one.

A pool of joblib is lost as a whole when one of its processes is killed. Here each process is a
pool of its own, so that only the task is lost that it was at; and none outlives this process.
"""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from joblib.externals.loky import ProcessPoolExecutor

# Seconds between two looks at whether the parent is still there.
_LOOK = 0.5

# As joblib.delayed makes it: a function, its arguments, its options.
Task = tuple[Callable, tuple, dict]


def results(tasks: Sequence[Task], at_once: int) -> Iterator[tuple[int, object]]:
    """Carry out tasks in processes of their own, several at a time.

    Parameters
    ----------
    tasks : sequence of (function, arguments, options)
        As `joblib.delayed` makes them. Functions of notebooks are sent along.
    at_once : int
        Processes, each of which takes one task after another.

    Yields
    ------
    number : int
        Of the task, from 0.
    result : object
        What the function returned; a `BrokenProcessPool` if its process was killed.

    Raises
    ------
    Exception
        What a function raised. The other tasks are then given up.

    Examples
    --------
    >>> sorted(results([(abs, (-3,), {}), (divmod, (7, 2), {})], at_once=2))
    [(0, 3), (1, (3, 1))]
    """
    waiting, running, free = deque(enumerate(tasks)), {}, []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                worker = free.pop() if free else _worker()
                number, (function, arguments, options) = waiting.popleft()
                with _uninterrupted():  # starts the process
                    future = worker.submit(function, *arguments, **options)
                running[future] = worker, number
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                worker, number = running.pop(future)
                try:
                    result = future.result()
                    free.append(worker)
                except BrokenProcessPool as error:
                    worker.shutdown()
                    result = error
                yield number, result
    finally:
        for worker in [*free, *(worker for worker, _ in running.values())]:
            worker.shutdown(kill_workers=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let processes that are started here never hear of a Ctrl-C, for this one ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # where signals cannot be set, none arrives
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _worker() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(max_workers=1, initializer=_end_with, initargs=(os.getpid(),))


def _end_with(parent: int) -> None:
    """Have this process end when its parent has, in whatever way that ended.

    Only Linux can ask the system for this; that a process without a parent is given another one
    holds on every Unix.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)  # nobody is there to tell; what is written is whole at any moment

    threading.Thread(target=watch, daemon=True).start()
