"""The suite sees nothing of the machine that it runs on."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.environment import clean

ROOT = Path(__file__).parent.parent
# What people, containers and CI systems set, and what changes what programs print or whom they ask.
MACHINE = {
    "ALL_PROXY": "http://127.0.0.1:9",
    "CI": "true",
    "CIVIS_API_ENDPOINT": "http://127.0.0.1:9/",
    "CIVIS_API_KEY": "a key of the machine",
    "CIVIS_JOB_ID": "7",
    "COLUMNS": "20",
    "FORCE_COLOR": "1",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "LANG": "C",
    "LC_ALL": "C",
    "NETRC": "/nowhere",
    "NO_COLOR": "1",
    "PYTHONIOENCODING": "latin-1",
    "PYTHONUNBUFFERED": "1",
    "TERM": "dumb",
    "TZ": "Asia/Kathmandu",
    "XDG_CONFIG_HOME": "/nowhere",
    "http_proxy": "http://127.0.0.1:9",
}


def test_nothing_that_the_machine_sets_reaches_a_test() -> None:
    found = clean(MACHINE | {"PATH": "/bin", "HOME": "/root"}, "/tmp/own")
    assert {name for name in found if found[name] == MACHINE.get(name)} == set()
    assert (found["PATH"], found["HOME"]) == ("/bin", "/tmp/own")


def test_a_test_sees_only_what_the_suite_keeps_or_sets() -> None:
    found = {name for name, value in os.environ.items() if value == MACHINE.get(name)}
    assert found == set()


def test_a_program_that_a_test_starts_can_be_interrupted() -> None:
    code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def examples() -> list[object]:
    """Return the numbers and texts that hypothesis tries, as it does in any test of the suite."""
    found: list[object] = []

    @given(st.integers(), st.text())
    def try_each(number: int, text: str) -> None:
        found.extend((number, text))

    try_each()
    return found


def test_what_is_imported_changes_no_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = examples()
    numbers = ", ".join(str(1_000_003 * each) for each in range(1, 200))
    (tmp_path / "odd_constants.py").write_text(f"NUMBERS = [{numbers}]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("odd_constants")
    assert examples() == before


def test_the_suite_is_the_same_on_a_machine_that_sets_everything_and_ignores_signals() -> None:
    tests = ["::".join((__file__, name)) for name in globals() if name.startswith("test_a_")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env=dict(os.environ) | MACHINE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
