"""What every record says of its origin: commit, hardware, versions."""

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path

import torch

from .. import parallel
from ..files import repository


def provenance() -> dict:
    """Commit, hardware and versions of this process, without host name or paths."""
    packages = ("torchvision", "torch-pruning", "numpy")
    cuda = torch.cuda.is_available()
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "splinelib")),
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if cuda else None,
            "processes": parallel.processes(),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,  # names the build too
            **{package: _version(package) for package in packages},
        },
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _git(*arguments: str) -> str | None:
    root = repository()
    if root is None:
        return None
    try:
        result = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
