"""Chapter 11 on real CIFAR-10 images: its own path at `cpu` scale, on a slice of the data."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
from conftest import share_of_the_cores

from tools import chapters


@pytest.mark.timeout(900)
def test_chapter_11_runs_on_a_slice_of_cifar10(tmp_path, cifar10_root):
    notebook = chapters.ROOT / "book" / "pruning" / "11_cifar.ipynb"
    copy = tmp_path / notebook.name
    parameters = {"scale": "cpu", "epochs": 2, "train_size": 256}
    command = [sys.executable, "-c", chapters.PAPERMILL, str(notebook), str(copy)]
    command += ["--kernel", "python3", "--cwd", str(notebook.parent), "--no-progress-bar"]
    command += ["--start-timeout", "300"]
    for name, value in parameters.items():
        command += ["--parameters", name, str(value)]
    recorded = set((chapters.ROOT / "data" / "runs").glob("*.json"))
    environment = chapters.kernel_environment(share_of_the_cores()) | {
        "SPLINELIB_DATA": str(cifar10_root)
    }
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, chapters.describe_failure(copy, ran.stderr)
    assert set((chapters.ROOT / "data" / "runs").glob("*.json")) == recorded, (
        "a trial left a record"
    )

    executed = nbformat.read(copy, as_version=4)
    shown = json.dumps([cell.get("outputs", []) for cell in executed.cells])
    # the table of this very run: CIFAR-10, quarter width, two epochs, 256 images, seed 0
    assert "cifar10-vgg16-w0.25-e2-n256-s0" in shown
    assert all(f"refitted {ratio}%" in shown for ratio in (30, 50, 70))
    assert os.path.getsize(copy) < 5_000_000
