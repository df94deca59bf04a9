"""Make or update the environment in .venv, once.

    python tools/environment.py            what the book and the library need
    python tools/environment.py --test     the test tools as well

It runs before anything is installed, so it uses the standard library alone, and
syntax that an old Python can read far enough to be told that it is too old.

``.venv/environment.json`` says what the environment holds. It reads "unfinished"
from the first change until the last, so an interrupted set-up is seen and made again.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STATE = os.path.join(VENV, "environment.json")
UNFINISHED = "unfinished"


def fail(message):
    sys.exit("\n" + message)


def use_a_recent_python():
    """Start again under a newer Python where this one is too old and another is at hand."""
    if sys.version_info >= OLDEST:
        return
    for minor in range(14, OLDEST[1] - 1, -1):
        newer = shutil.which("python3.%d" % minor)  # noqa: UP031
        if newer and works([newer, "--version"]):
            os.execv(newer, [newer, *sys.argv])
    fail(
        "This is Python {}.{} ({}), and the book needs Python {}.{} or later.\n"
        "Install one (https://www.python.org/downloads/, or `uv python install 3.12`)\n"
        "and name it: make book PYTHON=/path/to/python3.12".format(
            sys.version_info[0], sys.version_info[1], sys.executable, *OLDEST
        )
    )


def wanted(with_tests):
    """Describe the environment that the checkout asks for, file by file."""
    names = ["requirements.txt", "pyproject.toml"]
    if with_tests:
        names.append("requirements-test.txt")
    state = {"checkout": ROOT}
    for name in names:
        with open(os.path.join(ROOT, name), "rb") as file:
            state[name] = hashlib.sha256(file.read()).hexdigest()
    return state


def read_state():
    try:
        with open(STATE) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def write_state(state):
    partial = STATE + ".partial"
    with open(partial, "w") as file:
        json.dump(state, file, indent=1)
    os.replace(partial, STATE)


def works(command):
    """Whether the command is there and exits with 0 (a version manager's shim may not)."""
    try:
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def has_recent_python():
    return works([PYTHON, "-c", "import sys; sys.exit(sys.version_info < %r)" % (OLDEST,)])  # noqa: UP031


def call(command, advice):
    if subprocess.call(command, cwd=ROOT) != 0:
        fail(advice + "\nWhat went wrong is printed above. Then call make again.")


def create(uv):
    print("Making the environment in .venv with {}".format("uv" if uv else "venv"), flush=True)
    os.makedirs(VENV, exist_ok=True)
    write_state(UNFINISHED)
    if uv:
        command = ["uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable, VENV]
    else:
        command = [sys.executable, "-m", "venv", VENV]
    call(
        command,
        "The environment could not be made (on Debian and Ubuntu: apt install python3-venv).",
    )


def install(uv, with_tests):
    files = ["requirements.txt"] + (["requirements-test.txt"] if with_tests else [])
    requirements = [word for name in files for word in ("-r", name)]
    print(
        "Installing {}: several gigabytes, minutes at first, seconds later".format(
            " and ".join(files)
        ),
        flush=True,
    )
    if uv:
        pip = ["uv", "pip", "install", "--python", PYTHON]
    else:
        works([PYTHON, "-m", "ensurepip"])  # uv makes environments that have no pip
        pip = [
            PYTHON,
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--progress-bar",
            "on",
        ]
    advice = "Installing failed. Is there a network, and room on the disk (about 8 GB)?"
    call([*pip, *requirements], advice)
    call([*pip, "--quiet", "--no-deps", "--editable", "."], advice)


def main():
    use_a_recent_python()
    with_tests = "--test" in sys.argv[1:]
    want, have = wanted(with_tests), read_state()
    if isinstance(have, dict) and has_recent_python() and want.items() <= have.items():
        return
    if have == UNFINISHED:
        print("The last set-up of .venv was interrupted; making it again.")
        shutil.rmtree(VENV)
    elif isinstance(have, dict) and have.get("checkout") != ROOT:
        print("This checkout has moved, and .venv with it; making it again.")
        shutil.rmtree(VENV)
    elif os.path.exists(PYTHON) and not has_recent_python():
        fail(
            "The environment in .venv is broken or has a Python older than {}.{}.\n"
            "Remove the folder .venv and call make again.".format(*OLDEST)
        )
    uv = works(["uv", "--version"])
    if not os.path.exists(PYTHON):
        create(uv)
    else:
        print("Bringing .venv up to date with the requirements")
    kept = have if isinstance(have, dict) and have.get("checkout") == ROOT else {}
    write_state(UNFINISHED)
    install(uv, with_tests)
    write_state({**kept, **want})


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("Interrupted. The next call makes the environment again.")
