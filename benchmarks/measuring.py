"""What several benchmarks share: the memory of this process, and tables."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path


def memory(which: str) -> float:
    """MB of this process: ``"VmRSS"`` now, ``"VmHWM"`` at most; NaN outside Linux."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return float("nan")
    return int(status.split(f"{which}:")[1].split()[0]) / 1024


def forget_peak() -> None:
    """Let the highest mark of the memory be what is in use now."""
    with contextlib.suppress(OSError):  # Linux only
        Path("/proc/self/clear_refs").write_text("5")


def show(columns: Sequence[str], formats: Sequence[str], rows: Iterable[Sequence]) -> None:
    """Print a table, each row as soon as it is there."""
    print("  ".join(columns), flush=True)
    for row in rows:
        cells = [f.format(value) for f, value in zip(formats, row, strict=True)]
        print("  ".join(c.rjust(len(h)) for c, h in zip(cells, columns, strict=True)), flush=True)
