"""A real PostgreSQL: the one of this machine, or one of our own on a free port."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

_HOST, _PORT = "127.0.0.1", 5432
_STARTS_WITHIN = 60.0


def let_others_pass(directory: Path) -> None:
    """Let other users reach a directory: pytest's are for their owner only."""
    for parent in directory.parents:
        if parent != Path(tempfile.gettempdir()) and parent.is_relative_to(tempfile.gettempdir()):
            parent.chmod(parent.stat().st_mode | 0o011)


def find_binary(name: str) -> str | None:
    """Find a program of PostgreSQL, which Debian does not put into the path."""
    for directory in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (directory / name).exists():
            return str(directory / name)
    return shutil.which(name)


def running_server() -> str | None:
    """Give the URL of this machine's server, without a database, if it lets us make some."""
    for user in ("postgres", getpass.getuser()):
        url = f"postgresql://{user}@{_HOST}:{_PORT}"
        try:
            with psycopg.connect(f"{url}/postgres", connect_timeout=3, autocommit=True) as server:
                found = server.execute(
                    "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
                ).fetchone()
        except psycopg.OperationalError:
            continue
        if found and found[0]:
            return url
    return None


@contextmanager
def new_database(server: str) -> Generator[str]:
    """Make a database for one test; give its URL."""
    name = f"aioservices_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    try:
        yield f"{server}/{name}"
    finally:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class DatabaseClock:
    """The clock of one database, which can be set: its functions of the time are hidden by others.

    Parameters
    ----------
    session : psycopg.Connection
        With a database that has no store yet; each of its statements is a transaction.
    """

    def __init__(self, session: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._session = session
        session.execute(
            """CREATE SCHEMA aioservices;
            CREATE TABLE aioservices.clock (ahead interval NOT NULL);
            INSERT INTO aioservices.clock VALUES ('0');
            CREATE FUNCTION aioservices.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
                AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM aioservices.clock';
            CREATE FUNCTION aioservices.now() RETURNS timestamptz LANGUAGE sql STABLE
                AS 'SELECT pg_catalog.now() + ahead FROM aioservices.clock'"""
        )

    def set_ahead(self, seconds: float) -> None:
        """Have it go ahead of the machine's clock, or behind it."""
        self._session.execute(
            "UPDATE aioservices.clock SET ahead = make_interval(secs => %s)", (seconds,)
        )


class PostgresServer:
    """A server of our own, which may be killed.

    Parameters
    ----------
    directory : Path
        An empty one, for its data.
    """

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self._directory = directory
        self.port = _free_port()
        # The server refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(directory, self._user)
            let_others_pass(directory)

    @property
    def url(self) -> str:
        """Where it is, without a database."""
        return f"postgresql://postgres@{_HOST}:{self.port}"

    def create(self) -> None:
        """Make an empty server."""
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "--no-sync")

    def copy_of(self, primary: PostgresServer) -> None:
        """Make it a standby, which follows another one without delaying it."""
        self._run(
            "pg_basebackup", "-D", str(self.data), "-R", "--checkpoint=fast",
            "-d", f"{primary.url}/postgres",
        )  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -h {_HOST} -k {self._directory} -c max_connections=50"
        self._run(
            "pg_ctl", "-D", str(self.data), "-w", "-l", str(self._directory / "log"),
            "-o", options, "start",
        )  # fmt: skip

    def stop(self, mode: str = "immediate") -> None:
        """Stop it, by default as a crash does."""
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def refuse_standbys(self) -> None:
        """Send no standby anything any more."""
        # The word "all" does not mean replication.
        (self.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n")
        self.execute("SELECT pg_reload_conf()")
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")

    def promote(self) -> None:
        """Make a standby a primary."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "promote")

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Execute a statement in the database postgres."""
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *arguments: str) -> None:
        binary = find_binary(program)
        if binary is None:
            pytest.skip(f"{program} of PostgreSQL is not installed")
        subprocess.run(
            [binary, *arguments],
            check=True,
            user=self._user,
            cwd=self._directory,
            timeout=_STARTS_WITHIN,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def new_server(directory: Path) -> Generator[PostgresServer]:
    """Start a server of our own."""
    server = PostgresServer(directory)
    server.create()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def pgbouncer(server: str, directory: Path) -> Generator[str]:
    """Start a pgbouncer in transaction mode before a server; give its URL, without a database."""
    binary = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if binary is None:
        pytest.skip("pgbouncer is not installed")
    user = server.partition("//")[2].partition("@")[0]
    address = server.partition("@")[2]
    host, _, port = address.partition(":")
    listening = _free_port()
    (directory / "users").write_text(f'"{user}" ""\n')
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        f"""[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = {_HOST}
listen_port = {listening}
unix_socket_dir =
auth_type = trust
auth_file = {directory / "users"}
pool_mode = transaction
default_pool_size = 3
"""
    )
    command = [binary, "-q", str(configuration)]
    owner = None
    if os.geteuid() == 0:  # it refuses to run as root, too
        owner = "postgres"
        for path in (directory, configuration, directory / "users"):
            shutil.chown(path, owner)
        let_others_pass(directory)
    process = subprocess.Popen(
        command, user=owner, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(listening, process)
        yield f"postgresql://{user}@{_HOST}:{listening}"
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((_HOST, port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("pgbouncer did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
