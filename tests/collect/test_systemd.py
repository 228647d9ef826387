"""What is reported to the service manager."""

import os
import socket
from pathlib import Path

import pytest

from aioservices.collect.systemd import Systemd
from tests.servers.waiting import PATIENCE


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    path = str(tmp_path / "notify")
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(path)
    receiver.settimeout(PATIENCE)
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    return receiver


def test_the_manager_is_notified_by_datagrams(manager: socket.socket) -> None:
    with manager:
        systemd = Systemd()
        systemd.ready()
        systemd.status("3 services")
        systemd.alive()
        systemd.reloading()
        systemd.stopping()
        said = [manager.recv(1000).decode() for _ in range(5)]
    assert said[:3] == ["READY=1", "STATUS=3 services", "WATCHDOG=1"]
    assert said[3].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert said[4] == "STOPPING=1"


def test_an_abstract_socket_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"aioservices-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name}")
        receiver.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        Systemd().ready()
        assert receiver.recv(1000) == b"READY=1"


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Systemd().ready()
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/socket")
    Systemd().ready()


def test_the_watchdog_is_fed_twice_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert Systemd().watchdog_interval == 15.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert Systemd().watchdog_interval is None
    monkeypatch.delenv("WATCHDOG_PID")
    monkeypatch.setenv("WATCHDOG_USEC", "often")
    assert Systemd().watchdog_interval is None
