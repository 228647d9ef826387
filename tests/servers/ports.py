"""Ports of this machine that belong to one test, whether or not a server listens on them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

__all__ = ["closed_port", "reserved_port"]


@contextmanager
def reserved_port() -> Iterator[int]:
    """Reserve a port of the loopback address.

    Connections to it are refused until a server is started on it, which may be stopped and started
    again. A port that was only found to be free can be given to any process in between: to another
    test's server, or to the near end of any connection.
    """
    with socket.socket() as holder:
        # With this option, which servers set too, one of them may listen where this is bound and
        # does not listen. The system itself gives such a port to nobody.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where nobody listens."""
    with reserved_port() as port:
        yield port
