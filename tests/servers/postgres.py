"""A real PostgreSQL: the one of this machine, or one of our own on a free port."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
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

from tests.servers.ports import reserved_port

_HOST, _PORT = "127.0.0.1", 5432
_STARTS_WITHIN = 60.0


@contextmanager
def directory_for(user: str | None) -> Generator[Path]:
    """Make a directory that a user owns and can reach; it is removed at the end.

    Not one of pytest's, because each session of pytest makes their parent inaccessible to others.
    """
    with tempfile.TemporaryDirectory(prefix="aioservices-test-") as name:
        if user is not None:
            shutil.chown(name, user)
        yield Path(name)


def service_user() -> str | None:
    """Return the user for PostgreSQL and pgbouncer, which refuse to run as root; None: ours."""
    return "postgres" if os.geteuid() == 0 else None


def find_binary(name: str) -> str | None:
    """Find a program of PostgreSQL, which Debian does not put into the path."""
    for directory in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (directory / name).exists():
            return str(directory / name)
    return shutil.which(name)


def running_server() -> str | None:
    """Return the URL of this machine's server, without a database, if we may create some."""
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
        """Set it ahead of the machine's clock, or behind it."""
        self._session.execute(
            "UPDATE aioservices.clock SET ahead = make_interval(secs => %s)", (seconds,)
        )


class PostgresServer:
    """A server of our own, which may be killed.

    Parameters
    ----------
    directory : Path
        An empty one, for its data, that belongs to `service_user`.
    port : int
        One that nobody else is given while the server is stopped.
    """

    def __init__(self, directory: Path, port: int) -> None:
        self.data = directory / "data"
        self._directory = directory
        self.port = port

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

    def crash(self) -> None:
        """End it at once, if it runs, as a crash does."""
        pid_file = self.data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split()[0])
            os.kill(pid, signal.SIGQUIT)
        except (FileNotFoundError, ProcessLookupError):
            return
        until = time.monotonic() + _STARTS_WITHIN
        while pid_file.exists():
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                raise RuntimeError(f"PostgreSQL, process {pid}, had to be killed")
            time.sleep(0.02)

    @contextmanager
    def paused(self) -> Generator[None]:
        """Suspend it inside the block, like a machine that is stopped."""
        stopped = [int((self.data / "postmaster.pid").read_text().split()[0])]
        try:
            _suspend(stopped[0])
            # It starts no other process now, and one of its own that ends keeps its number.
            for each in _children(stopped[0]):
                stopped.append(each)
                _suspend(each)
            yield
        finally:
            for each in reversed(stopped):
                os.kill(each, signal.SIGCONT)

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
        # Into a file, because a server that is started would keep a pipe open.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                [binary, *arguments],
                user=service_user(),
                cwd=self._directory,
                timeout=_STARTS_WITHIN,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            said.seek(0)
            if done.returncode != 0:
                reason = said.read().decode(errors="replace").strip()
                raise RuntimeError(f"{program} {arguments} ended with {done.returncode}: {reason}")


def _children(process: int) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(process)], capture_output=True, text=True, check=True
    )
    return [int(each) for each in found.stdout.split()]


def _suspend(process: int) -> None:
    """Suspend a process, and wait until it does nothing any more."""
    os.kill(process, signal.SIGSTOP)
    stat = Path(f"/proc/{process}/stat")
    until = time.monotonic() + _STARTS_WITHIN
    while stat.read_text().rpartition(")")[2].split()[0] not in {"T", "Z"}:
        if time.monotonic() > until:
            raise RuntimeError(f"process {process} cannot be suspended")
        time.sleep(0.001)


@contextmanager
def own_server() -> Generator[PostgresServer]:
    """Return a separate server, not created yet; at the end it is stopped."""
    with reserved_port() as port, directory_for(service_user()) as directory:
        server = PostgresServer(directory, port)
        try:
            yield server
        finally:
            server.crash()


@contextmanager
def new_server() -> Generator[PostgresServer]:
    """Start a server of our own."""
    with own_server() as server:
        server.create()
        server.start()
        yield server


@contextmanager
def pgbouncer(server: str) -> Generator[str]:
    """Start a pgbouncer in transaction mode before a server; give its URL, without a database."""
    binary = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if binary is None:
        pytest.skip("pgbouncer is not installed")
    user = server.partition("//")[2].partition("@")[0]
    address = server.partition("@")[2]
    host, _, port = address.partition(":")
    with reserved_port() as listening, directory_for(service_user()) as directory:
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
        process = subprocess.Popen(
            [binary, "-q", str(configuration)],
            user=service_user(),
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
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
