"""The demo, as a stranger runs it."""

import io
import signal
import subprocess
import sys

import pytest

from aioservices.demo.screen import Screen

COMMAND = [sys.executable, "-W", "error", "-m", "aioservices", "demo"]


def test_it_shows_a_fleet_and_sums_it_up() -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "\x1b" not in done.stdout
    end = done.stdout.partition("── What happened\n")[2]
    assert "report" in end
    assert "crashed: exited with status 1" in end
    assert "each of them arrived, once" in end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly(number: signal.Signals) -> None:
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "scheduler" in line and "tick" in line:
                break
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (128 + number, "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_what_happened_is_wrapped_between_words_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal() if terminal else io.StringIO()
    text = "  report    3 lines  crashed: exited with status 1, deployed again on the way"
    Screen(out, {}).paragraph(text)
    lines = out.getvalue().splitlines()
    if not terminal:
        assert lines == [text]
        return
    assert max(map(len, lines)) <= 40
    assert all(line.startswith("    ") for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
