"""What several test files share: the dataset, the executed chapters, the built book, a browser."""

import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import joblib
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
# Files of tests that look at executed chapters or built pages.
BOOK = {
    "tests/test_notebooks.py",
    "tests/test_book.py",
    "tests/playground/test_in_the_book.py",
}
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def unavailable(what: str) -> None:
    """Skip where this machine lacks something; fail in CI, where nothing may be skipped."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} In CI this is a failure, not a skip.", pytrace=False)
    pytest.skip(what)


def has_gpu() -> bool:
    """Whether NVIDIA's driver is loaded or a card shows, whatever PyTorch makes of it."""
    return Path("/proc/driver/nvidia/version").exists() or any(Path("/dev").glob("nvidia[0-9]*"))


def need_cuda() -> None:
    """Skip where there is no GPU; one that PyTorch cannot use is something that is lacking."""
    if torch.cuda.is_available():
        return
    if has_gpu():
        unavailable("This machine has a GPU, and PyTorch cannot use it.")
    pytest.skip("this machine has no GPU")


def workers() -> int:
    """How many processes of pytest-xdist share the tests; 1 without it."""
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))


def share_of_the_cores() -> int:
    """The cores that are left to this process where several share the tests."""
    return max(1, joblib.cpu_count() // workers())


def pytest_configure() -> None:
    """Keep to this process's share of the cores, and what it starts as well."""
    if workers() > 1:
        os.environ["OMP_NUM_THREADS"] = str(share_of_the_cores())
        torch.set_num_threads(share_of_the_cores())


def looks_at_the_book(item: pytest.Item) -> bool:
    """Whether a test needs the executed chapters, or shares a file with one that does."""
    return str(item.path.relative_to(ROOT)) in BOOK


def page_of(nodeid: str) -> str | None:
    """The page of the book that a test looks at, of those that look at each page."""
    file, _, test = nodeid.partition("::")
    if file != "tests/test_book.py":
        return None
    found = re.search(r"\[(?:(?:light|dark)-)?(.+?)(?:-(?:light|dark))?\]$", test)
    return found[1] if found and found[1] not in ("light", "dark") else None


def share_of(nodeid: str) -> str:
    """What is given to one process as a whole: a file of tests, the book, a page of it."""
    file, page = nodeid.partition("::")[0], page_of(nodeid)
    return f"page {page}" if page else "the book" if file in BOOK else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest goes first: the tests that make the book. Its pages go last.

    One by one they are what is left to share when all else is done, and the book is there then.
    """

    def turn(item: pytest.Item) -> int:
        return 2 if page_of(item.nodeid) else 1 - looks_at_the_book(item)

    items.sort(key=turn)  # stable: files keep their order


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Deal out the tests file by file; what makes the book goes to one process, pages to all."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return share_of(nodeid)

    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda"):
        need_cuda()


@contextmanager
def visible_progress(config: pytest.Config):
    """Let what runs inside write to the terminal: some fixtures work for minutes."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print()
        yield


@contextmanager
def one_at_a_time():
    """Of the processes that share the tests one makes the book; another waits, and then has it."""
    from tools import chapters

    chapters.BUILD.mkdir(exist_ok=True)
    with chapters.locked(chapters.BUILD / ".tests.lock"):
        yield


@pytest.fixture(scope="session")
def cifar10_root() -> Path:
    """Folder that holds the real CIFAR-10 as cifar10.npz, for ``load("cifar10", root=...)``."""
    from splinelib.data import cache_folder

    folder = cache_folder()
    if not (folder / "cifar10.npz").exists():
        unavailable(f"There is no cifar10.npz in {folder}.")
    return folder


@pytest.fixture(scope="session")
def executed(request, pytestconfig) -> dict:
    """Chapters executed once at the quick scale: source notebook -> `chapters.Execution` of it.

    All of them if a test of this session looks at the built pages, else those that are asked for.
    """
    from tools import chapters  # what makes the book is not on a machine that is there for its GPU

    items = [item for item in request.session.items if "executed" in item.fixturenames]
    assert all(map(looks_at_the_book, items)), "a file of tests is missing in BOOK"
    asked = {getattr(item, "callspec", None) and _notebook(item.callspec.params) for item in items}
    notebooks = chapters.notebooks()
    if not any("html" in item.fixturenames for item in items):
        notebooks = [notebook for notebook in notebooks if {notebook, None} & asked]
    with visible_progress(pytestconfig), one_at_a_time():
        return {run.source: run for run in chapters.execute(notebooks, jobs=share_of_the_cores())}


def _notebook(parameters: dict) -> Path | None:
    """The notebook that a test is about; None for one that is about all of them."""
    return parameters.get("copy") or parameters.get("notebook")


@pytest.fixture(scope="session")
def html(executed, pytestconfig) -> Path:
    """The folder of built pages, made from those same executed copies."""
    from tools import book

    with visible_progress(pytestconfig), one_at_a_time():
        return book.build().parent


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    found = [path for path in (shutil.which(name) for name in names if name) if path]
    if not found:
        unavailable("There is no Chromium: install one, or name it in the variable CHROMIUM.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found[0], args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()
