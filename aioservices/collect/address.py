"""Where the daemon listens: a host and a port; pure."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

__all__ = ["Address", "parse_address"]

_LARGEST_PORT = 65_535
_MAX_DIGITS = 5


class Address(NamedTuple):
    """Where the daemon listens."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read ``HOST:PORT``.

    Raises
    ------
    ValueError
        If it has another form.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_number = port.isascii() and port.isdecimal() and len(port) <= _MAX_DIGITS
    if not colon or not is_number or int(port) > _LARGEST_PORT:
        raise ValueError(f"{text!r} is not HOST:PORT: write it as 127.0.0.1:9100")
    return Address(host or "127.0.0.1", int(port))
