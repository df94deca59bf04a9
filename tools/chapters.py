"""Execute the chapters of the book, each once per change.

    python -m tools.chapters [--scale quick] [CHAPTER ...]

Sources under ``book/`` carry no outputs. Papermill runs them at one scale, side by side,
and the executed copies land in ``_build/executed/SCALE/``. A copy names the fingerprint of
what it was made from; while that still holds, the chapter is not run again.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import joblib
import nbformat
import yaml
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
LOCK = "in-use.lock"  # of a folder of an execution
SCALES = ("quick", "cpu", "paper")
# Papermill in a process. What checks notebooks loads a grammar of international addresses, if it is
# there: that takes three times as long as all else, and no notebook needs it.
PAPERMILL = (
    "import sys; sys.modules['rfc3987_syntax'] = None; "
    "from papermill.cli import papermill; papermill(prog_name='papermill')"
)
# No cell of the quick scale comes near; a cell that hangs must still end.
CELL_TIMEOUT = {"quick": 900, "cpu": 24 * 3600, "paper": 7 * 24 * 3600}  # seconds


class ChapterError(Exception):
    """A chapter that is missing, or whose execution failed; the message says where."""


@dataclass(frozen=True)
class Execution:
    """What became of one chapter.

    Attributes
    ----------
    source : Path
        The notebook under ``book/``.
    copy : Path
        The executed copy; it exists unless `error` is set.
    seconds : float
        Wall time of the execution, 0 when an earlier copy was still good.
    error : str or None
        The cell that failed and its traceback.
    """

    source: Path
    copy: Path
    seconds: float
    error: str | None = None


def configuration() -> dict:
    """What _config.yml says."""
    return yaml.safe_load((ROOT / "_config.yml").read_text()) or {}


def pages() -> list[str]:
    """Read ``_toc.yml``: the pages of the book in reading order, without suffix."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [entry for part in contents["parts"] for entry in part["chapters"]]
    return [contents["root"], *(entry["file"] for entry in chapters)]


def page_source(page: str) -> Path | None:
    """Find the source of a page, or None where it has not been written."""
    candidates = [ROOT / f"{page}{suffix}" for suffix in (".ipynb", ".md")]
    return next((path for path in candidates if path.exists()), None)


def notebooks() -> list[Path]:
    """List the chapters of the table of contents that are notebooks."""
    sources = (page_source(page) for page in pages())
    return [source for source in sources if source and source.suffix == ".ipynb"]


def executed_path(notebook: Path, scale: str = "quick") -> Path:
    """Where the executed copy of a chapter goes."""
    return BUILD / "executed" / scale / notebook.relative_to(ROOT)


def fingerprint(notebook: Path, scale: str) -> str:
    """Hash everything that an executed copy depends on.

    That is the notebook, the library, the recorded runs, the published figures, the scale
    and this file.
    """
    sources = [notebook, Path(__file__)]
    for folder in ("splinelib", "data/runs", "data/published"):
        files = (ROOT / folder).rglob("*")
        sources += sorted(f for f in files if f.is_file() and "__pycache__" not in f.parts)
    digest = hashlib.sha256(scale.encode())
    for path in sources:
        name = str(path.relative_to(ROOT))
        digest.update(f"\0{name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current(notebook: Path, scale: str) -> bool:
    """Whether the executed copy is there and was made from what is here now."""
    try:
        copy = json.loads(executed_path(notebook, scale).read_text())
        return copy["metadata"]["book"]["fingerprint"] == fingerprint(notebook, scale)
    except (OSError, ValueError, KeyError):
        return False


def kernel_environment(threads: int) -> dict[str, str]:
    """Environment of a kernel: this Python, static widgets, its share of the cores."""
    return os.environ | {
        # found before any kernel of the user's that is also called python3
        "JUPYTER_PATH": str(Path(sys.prefix) / "share" / "jupyter"),
        "IPYTHONDIR": str(BUILD / "ipython"),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONHASHSEED": "0",
        "SPLINELIB_WIDGETS": "static",
        # progress bars are for live readers; on a page they would be red noise
        "TQDM_DISABLE": "1",
    }


def tidy(copy: nbformat.NotebookNode, scale: str) -> None:
    """Take papermill's traces out of an executed copy, in place.

    The parameters cell is left showing the scale that really ran.
    """
    copy.cells = [c for c in copy.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    for cell in copy.cells:
        for trace in ("papermill", "execution"):
            cell.metadata.pop(trace, None)
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = re.sub(r'(?m)^(scale\s*=\s*)"\w+"', rf'\1"{scale}"', cell.source)
    copy.metadata.pop("papermill", None)


def describe_failure(copy: Path, log: str) -> str:
    """Say which cell failed and how, or give papermill's last words where no cell did."""
    failure = "\n".join(log.strip().splitlines()[-15:])
    try:
        cells = nbformat.read(copy, as_version=4).cells
    except (OSError, ValueError):
        return failure
    for cell in cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output.traceback))
                source = "\n".join(f"  | {line}" for line in cell.source.splitlines())
                return f"this cell failed:\n{source}\n\n{traceback}"
    return failure


@contextmanager
def running_folder() -> Iterator[tuple[Path, int]]:
    """A folder for one execution, and the descriptor of the lock that says that it is in use."""
    with locked(BUILD / ".running.lock"):  # or it could be taken for one that was left behind
        folder = tempfile.TemporaryDirectory(
            dir=BUILD, prefix="running-", ignore_cleanup_errors=True
        )
        lock = os.open(Path(folder.name, LOCK), os.O_CREAT | os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with folder:
            yield Path(folder.name), lock
    finally:
        os.close(lock)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file. The system lets go of it when the last of its holders ends.

    Raises
    ------
    BlockingIOError
        Somebody else holds it, and `wait` is False.
    """
    lock = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(lock)


def remove_left_behind() -> None:
    """Remove the folders of executions that were killed, and of no other."""
    with locked(BUILD / ".running.lock"):
        for folder in BUILD.glob("running-*"):
            try:
                with locked(folder / LOCK, wait=False):
                    shutil.rmtree(folder, ignore_errors=True)
            except OSError:
                continue  # in use, or just removed by its owner


def run_notebook(notebook: Path, scale: str, threads: int) -> Execution:
    """Execute one chapter and put its copy in place in one step."""
    target = executed_path(notebook, scale)
    key = fingerprint(notebook, scale)
    target.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with running_folder() as (folder, lock):
        partial = folder / notebook.name
        command = [sys.executable, "-c", PAPERMILL, str(notebook), str(partial)]
        command += ["--parameters", "scale", scale, "--kernel", "python3", "--language", "python"]
        command += ["--cwd", str(notebook.parent), "--no-progress-bar"]
        command += ["--start-timeout", "300", "--execution-timeout", str(CELL_TIMEOUT[scale])]
        # Papermill holds the lock as well: it may outlive this process, and writes there.
        process = subprocess.run(
            command,
            env=kernel_environment(threads),
            capture_output=True,
            text=True,
            pass_fds=[lock],
        )
        seconds = time.monotonic() - start
        if process.returncode != 0:
            error = describe_failure(partial, process.stderr)
            return Execution(notebook, target, seconds, error)
        copy = nbformat.read(partial, as_version=4)
        tidy(copy, scale)
        copy.metadata["book"] = {"fingerprint": key, "scale": scale, "seconds": round(seconds, 1)}
        nbformat.write(copy, partial)
        os.replace(partial, target)
    return Execution(notebook, target, seconds)


def execute(selected: list[Path], scale: str = "quick", jobs: int | None = None) -> list[Execution]:
    """Execute the chapters that have changed since their last execution.

    Parameters
    ----------
    selected : list of Path
        Notebooks under ``book/``.
    scale : {"quick", "cpu", "paper"}
        Passed to each chapter. At ``quick`` the chapters run side by side on one core
        each; the larger scales train for long and get the whole machine one by one.
    jobs : int, optional
        Cores to use; all of them by default.

    Returns
    -------
    list of Execution
        One per chapter, in the order given. Failures are reported in it, not raised.
    """
    cores = jobs or joblib.cpu_count()
    workers, threads = (cores, 1) if scale == "quick" else (1, cores)
    BUILD.mkdir(exist_ok=True)
    remove_left_behind()
    done = {n: Execution(n, executed_path(n, scale), 0.0) for n in selected if is_current(n, scale)}
    todo = [notebook for notebook in selected if notebook not in done]
    if not todo:
        return [done[notebook] for notebook in selected]
    pool = ThreadPoolExecutor(workers)
    try:
        futures = {pool.submit(run_notebook, n, scale, threads): n for n in todo}
        with tqdm(total=len(todo), desc=f"Chapters at {scale}", unit="chapter") as bar:
            for future in as_completed(futures):
                result = future.result()
                done[result.source] = result
                name = result.source.relative_to(ROOT)
                outcome = "FAILED" if result.error else "done"
                bar.write(f"  {name}: {outcome} in {result.seconds:.0f} s", file=sys.stderr)
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)
    return [done[notebook] for notebook in selected]


def report_failures(executions: list[Execution]) -> None:
    """Raise a ChapterError that shows every failure, if there was one.

    Raises
    ------
    ChapterError
        With the cell and the error of each chapter that failed.
    """
    failures = [e for e in executions if e.error]
    if failures:
        shown = [f"{e.source.relative_to(ROOT)}: {e.error}" for e in failures]
        shown.append(f"{len(failures)} of {len(executions)} chapters failed; see above.")
        raise ChapterError("\n\n".join(shown))


def main() -> None:
    """Command line: execute the named chapters, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=SCALES, default="quick")
    parser.add_argument("chapter", nargs="*", type=Path, help="notebooks; all when none is named")
    arguments = parser.parse_args()
    selected = [path.resolve() for path in arguments.chapter] or notebooks()
    absent = [str(path) for path in selected if not path.exists()]
    if absent:
        sys.exit(f"There is no such chapter: {', '.join(absent)}")
    try:
        executions = execute(selected, arguments.scale)
        report_failures(executions)
    except ChapterError as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; finished chapters are kept, the others run at the next call.")
    for execution in executions:
        print(execution.copy.relative_to(ROOT))


if __name__ == "__main__":
    main()
