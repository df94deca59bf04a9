"""What several test files share: the dataset, the executed chapters, the built book, a browser."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
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
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, cores // workers())


def pytest_configure() -> None:
    """Keep to this process's share of the cores, and what it starts as well."""
    if workers() > 1:
        os.environ["OMP_NUM_THREADS"] = str(share_of_the_cores())
        torch.set_num_threads(share_of_the_cores())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say which tests share a process: those of the book, which goes first, and those of a file.

    The chapters are executed once, by the process that tests them, while the others go on.
    """
    if not config.pluginmanager.hasplugin("xdist"):
        return
    groups = {
        item: "the book" if "executed" in item.fixturenames else str(item.path.relative_to(ROOT))
        for item in items
    }
    items.sort(key=lambda item: groups[item] != "the book")  # stable: files keep their order
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))


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
    asked = {getattr(item, "callspec", None) and _notebook(item.callspec.params) for item in items}
    notebooks = chapters.notebooks()
    if not any("html" in item.fixturenames for item in items):
        notebooks = [notebook for notebook in notebooks if {notebook, None} & asked]
    with visible_progress(pytestconfig):
        return {run.source: run for run in chapters.execute(notebooks, jobs=share_of_the_cores())}


def _notebook(parameters: dict) -> Path | None:
    """The notebook that a test is about; None for one that is about all of them."""
    return parameters.get("copy") or parameters.get("notebook")


@pytest.fixture(scope="session")
def html(executed, pytestconfig) -> Path:
    """The folder of built pages, made from those same executed copies."""
    from tools import book

    with visible_progress(pytestconfig):
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
