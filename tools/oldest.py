"""Test the library with the oldest packages that it says it works with.

    python -m tools.oldest [PYTEST ARGUMENT ...]

The lower bounds of pyproject.toml are installed into .venv-oldest once, several gigabytes, and the
library's own tests run there: those of `splinelib`, folder by folder, without the book.
"""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv-oldest"
STATE = VENV / "packages.txt"
# What tests need besides, not at its oldest.
TOOLS = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "pyyaml")
TESTS = (
    *("bounds", "calibration", "channels", "codes", "cost", "data"),
    *("geometry", "models", "network", "pruning", "rivals", "scores", "training"),
)


def oldest() -> list[str]:
    """Each package that the library needs, at its lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [lower_bound(requirement) for requirement in project["dependencies"]]


def lower_bound(requirement: str) -> str:
    """A requirement as a pin.

    Examples
    --------
    >>> lower_bound("torch>=2.11"), lower_bound("jupyter-book>=1.0.4,<2")
    ('torch==2.11.*', 'jupyter-book==1.0.4')
    """
    name, version = re.match(r"([\w.-]+)>=([\d.]+)", requirement).groups()
    return f"{name}=={version}" + (".*" if version.count(".") < 2 else "")


def prepare() -> Path:
    """The Python of the environment, made if it is not there or holds something else."""
    packages = "\n".join([*oldest(), *TOOLS])
    python = VENV / "bin" / "python"
    if STATE.exists() and STATE.read_text() == hashlib.sha256(packages.encode()).hexdigest():
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages.split("\n")], check=True)
    STATE.write_text(hashlib.sha256(packages.encode()).hexdigest())
    return python


def main(arguments: Sequence[str]) -> None:
    """Command line."""
    command = [prepare(), "-m", "pytest", "-q", *(arguments or [f"tests/{name}" for name in TESTS])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    sys.exit(subprocess.run(command, cwd=ROOT, env=environment).returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
