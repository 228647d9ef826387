"""Reports the state of the daemon to systemd, if systemd started it."""

from __future__ import annotations

import os
import socket
import time

__all__ = ["Systemd"]


class Systemd:
    """The notification socket of the service manager.

    Without one, as outside systemd, nothing is sent.
    """

    def __init__(self) -> None:
        path = os.environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path

    @property
    def is_available(self) -> bool:
        """Whether there is a service manager to notify."""
        return bool(self._address)

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two watchdog messages, half of the limit; None without a limit."""
        if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        try:
            return int(os.environ["WATCHDOG_USEC"]) / 2_000_000 or None
        except (KeyError, ValueError):
            return None

    def ready(self) -> None:
        """Report that the daemon is up."""
        self._send("READY=1")

    def alive(self) -> None:
        """Report that the event loop is running."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Report the status in one line."""
        self._send(f"STATUS={text}")

    def reloading(self) -> None:
        """Report that the configuration is being read again; `ready` reports the end of that."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Report that the daemon is about to exit."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)
                channel.sendto(message.encode(), self._address)
        except OSError:
            pass  # nobody listens, or its queue is full: the next message says the same
