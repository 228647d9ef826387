"""Ends the programs of an emulator that was killed, and finds those that left their group.

A program is started as the leader of a new process group, so that its children can be
ended with it. Two things escape that. A child that starts a new session leaves the
group: it is found by a mark in its environment, which children inherit (only where there is
a `/proc`, that is on Linux; a child that also empties its environment is not found). And an
emulator that is killed can end no process: for that case this file runs as a small process
beside it. It reads the groups that begin (`+123`) and end (`-123`) from its standard input,
which the system closes when the emulator dies in any way, and then ends them all.

It imports nothing but the standard library, so that it starts fast and without site-packages.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path

__all__ = ["MARK", "carries", "marked", "signal_group", "signal_process"]

MARK = "AIOSERVICES_EMULATOR"
"""The environment variable that says to which deployment a process belongs."""

_PROC = Path("/proc")
_POLL = 0.05


def marked(mark: str) -> list[int]:
    """List the living processes with an environment that has the mark, or begins with it."""
    if not _PROC.is_dir():
        return []
    pids = [int(entry) for entry in os.listdir(_PROC) if entry.isdecimal()]  # noqa: PTH208 - faster
    return [pid for pid in pids if carries(pid, mark)]


def carries(pid: int, mark: str) -> bool:
    """Return whether a process is alive and its environment has the mark, or begins with it."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - faster than a Path
            environment = file.read()
    except OSError:  # it has gone, or is another user's
        return False
    # A process that has ended has no environment, even if nobody has reaped it yet.
    return (b"\0" + environment).find(f"\0{MARK}={mark}".encode()) >= 0


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; returns whether it exists."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


def signal_process(pid: int, number: int) -> None:
    """Send a signal to a process, if there is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _signal_all(groups: Collection[int], mark: str, number: int) -> bool:
    found = [signal_group(group, number) for group in groups]
    left_over = marked(mark)
    for pid in left_over:
        signal_process(pid, number)
    return any(found) or bool(left_over)


def main(mark: str, grace: float) -> None:
    """Wait until the emulator has ended, then end the programs that it has left.

    Parameters
    ----------
    mark
        The beginning of the mark of its programs.
    grace
        Seconds from SIGTERM until SIGKILL.
    """
    # What ends a whole session or service group must not end this process before the emulator.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        group = int(line[1:])
        groups.add(group) if line.startswith(b"+") else groups.discard(group)
    if not _signal_all(groups, mark, signal.SIGTERM):
        return
    deadline = time.monotonic() + grace
    while _signal_all(groups, mark, 0) and time.monotonic() < deadline:
        time.sleep(_POLL)
    _signal_all(groups, mark, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
