"""An interruption at any line, as by Ctrl-C in a notebook."""

import sys
from collections.abc import Callable

import splinelib as sl

LIBRARY = sl.__path__[0]


class _Tracer:
    """Raises KeyboardInterrupt before the n-th line that runs in some files, once."""

    def __init__(self, line: int | None, files: str):
        self.line, self.files, self.seen = line, files, 0

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(self.files):
            return None
        if event == "line":
            self.seen += 1
            if self.seen == self.line:
                raise KeyboardInterrupt
        return self


def interrupted(call: Callable[[], object], line: int | None, files: str = LIBRARY) -> int:
    """How many lines of the library, or of a file of it, ran until the end, or the interruption."""
    tracer = _Tracer(line, files)
    sys.settrace(tracer)
    try:
        call()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    return tracer.seen
