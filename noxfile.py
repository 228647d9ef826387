"""The tests on every Python that is supported and that this machine has: `make test-all`."""

import os
import shutil
import subprocess
import sys

import nox

nox.needs_version = ">=2025.5"
nox.options.error_on_missing_interpreters = False  # the summary says which are missing
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
# Those parts that differ most between versions of Python: sockets, tasks, times, texts of errors.
QUICK = ["tests/http", "tests/api", "tests/tail/test_follow.py", "tests/test_errors.py"]


def offer_pyenv() -> None:
    """Let `python3.12` be found that pyenv has, but offers only where it was chosen."""
    if shutil.which("pyenv"):
        command = ["pyenv", "versions", "--bare", "--skip-aliases"]
        have = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        chosen = os.environ.get("PYENV_VERSION") or "system"
        os.environ["PYENV_VERSION"] = ":".join([chosen, *have])


offer_pyenv()


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests, or with `-- quick` a part of them, where another Python may tell something."""
    quick = "quick" in session.posargs
    if quick and session.python == f"{sys.version_info.major}.{sys.version_info.minor}":
        session.skip("`make test` runs on this one")
    needed = nox.project.dependency_groups(PROJECT, "test-quick" if quick else "test")
    session.install("--quiet", "--editable", ".[cli]", *needed)
    pytest = [
        "python",
        "-m",
        "pytest",
        "--numprocesses",
        "4",
        "-m",
        "not slow",
    ]
    if quick:
        session.run(*pytest, "--quiet", *QUICK, env={"HYPOTHESIS_PROFILE": "quick"})
    else:
        session.run(*pytest, "--ignore", "tests/typing", *session.posargs)
