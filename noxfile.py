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
OTHER_PYTHONS = [each for each in PYTHONS if each != "{}.{}".format(*sys.version_info)]
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


def run_tests(session: nox.Session, group: str, *arguments: str, **environment: str) -> None:
    """Run tests with what a group of dependencies has."""
    needed = nox.project.dependency_groups(PROJECT, group)
    session.install("--quiet", "--editable", ".[cli]", *needed)
    pytest = ["python", "-m", "pytest", "--numprocesses", "6", "-m", "not slow"]
    session.run(*pytest, *arguments, *session.posargs, env=environment)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests."""
    run_tests(session, "test", "--ignore", "tests/typing")


@nox.session(python=OTHER_PYTHONS)
def quick(session: nox.Session) -> None:
    """Run a part of the tests, where a Python that `make test` does not use may tell something."""
    run_tests(session, "test-quick", "--quiet", *QUICK, HYPOTHESIS_PROFILE="quick")
