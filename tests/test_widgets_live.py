"""A widget in a real JupyterLab, with a kernel that redraws its picture."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from tools.chapters import kernel_environment

START = """
from splinelib import plotting, widgets

def valley(slope):
    return plotting.max_affine([-slope, slope], [0, 0], alt="replaced by the widget's")
"""
WIDGET = "widgets.scrub(valley, [1, 2, 3, 4], 'slope', 'A valley of slope {}.')"
EXPLORER = """
import splinelib as sl
model = sl.models.mlp([2, 5, 1], seed=0)
plotting.explorer(sl.models.to_json(model), sl.partition(model), "Lines.", (0.25, 0.5))
"""
EARLY_BIRD = """
plotting.early_bird([[0, 0.3, 0.2], [0.3, 0, 0.1], [0.2, 0.1, 0]], "A run.", lookback=1)
"""
CELLS = (START, WIDGET, EXPLORER, EARLY_BIRD)

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab that serves one notebook; yields the address of that notebook."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in CELLS],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, folder / "widget.ipynb")
    environment = kernel_environment(threads=1)
    del environment["SPLINELIB_WIDGETS"]
    environment |= {  # nothing of the user's own Jupyter
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0"]
    command += [f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=widgets"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    log = folder / "lab.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield f"{address(log, server)}/lab/tree/widget.ipynb?token=widgets"
    finally:
        server.terminate()
        server.wait(30)


def address(log: Path, server: subprocess.Popen) -> str:
    """Wait until the server says where it listens."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and server.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if found:
            return found[0]
        time.sleep(0.3)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


def run_all(page, cells) -> None:
    """Ask JupyterLab to run every cell until it does.

    It drops the request, without a word, while the notebook has no kernel yet, and the kernel's
    status reads idle then too. A request that was taken changes the prompts at once.
    """
    waiting = cells.first.locator(".jp-InputArea-prompt", has_text="[ ]:")
    deadline = time.monotonic() + 300
    while waiting.count() and time.monotonic() < deadline:
        page.locator(".lm-MenuBar-item", has_text="Run").click()
        page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
        page.wait_for_timeout(1000)
    assert not waiting.count(), f"JupyterLab ran nothing:\n{page.inner_text('body')}"


def test_slider_redraws_its_picture(lab, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(300_000)
    page.goto(lab)
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    cells.nth(1).wait_for()
    run_all(page, cells)
    widget = cells.nth(1).locator(".sl-widget")
    picture = widget.locator("svg[role=img]")
    failure = cells.locator("[data-mime-type*=error]")
    picture.or_(failure).wait_for()
    assert failure.count() == 0, failure.inner_text()
    assert picture.get_attribute("aria-label") == "A valley of slope 1."
    first = picture.evaluate("e => e.outerHTML")
    handle = widget.locator("[role=slider]")
    handle.focus()
    page.keyboard.press("ArrowRight")
    widget.locator("svg[aria-label='A valley of slope 2.']").wait_for()
    assert picture.evaluate("e => e.outerHTML") != first
    assert widget.locator(".widget-readout").inner_text() == "2"
    page.keyboard.press("End")
    widget.locator("svg[aria-label='A valley of slope 4.']").wait_for()
    page.keyboard.press("Home")
    widget.locator("svg[aria-label='A valley of slope 1.']").wait_for()
    widget.locator(".widget-play button").first.click()
    widget.locator("svg[aria-label='A valley of slope 4.']").wait_for()
    figure = cells.nth(2).locator(".sl-live.sl-on")  # it has brought its script along
    figure.locator("canvas").focus()
    page.keyboard.press("ArrowRight")
    figure.get_by_text("(0.29, 0.50)", exact=True).wait_for()
    run = cells.nth(3).locator(".sl-live.sl-on")
    words = run.get_by_role("status")
    words.filter(has_text="The ticket is drawn after epoch 3 of 3.").wait_for()
    run.get_by_role("slider", name="threshold", exact=True).press("Home")
    words.filter(has_text="Never: no epoch is that close").wait_for()
    page.close()
