"""The stores: lines are written to SQLite, sealed SQLite and PostgreSQL, and forwarded by OTLP.

Each is compared with a plain loop that only does the same inserts, or sends the same records: its
rows are made beforehand, and it stores no cursor, no position and no commit id.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import gzip
import sqlite3
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from uuid import uuid4

import aiohttp

from aioservices import LogCursor, TailedEntry
from aioservices.stores import PendingBatch, SQLiteStore, Store, open_store
from aioservices.stores.forward import ForwardWorker, open_forwarder
from aioservices.stores.record import Row as StoredRow
from aioservices.stores.record import rows_of, to_micros
from benchmarks.payloads import log_message
from benchmarks.race import check
from benchmarks.report import Goal, Report, Row
from benchmarks.server import canned_server

_COMMIT = 20_000  # lines per transaction, as in the collector
_PAGE = 1_000  # consecutive lines of one service
_BLOCK_ROWS = 2_500  # lines of a service that become a block
_SEND = 1_000  # lines per request
_SERVER = "postgresql://postgres@127.0.0.1:5432"
_START = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
_POSTGRES_EPOCH = to_micros(dt.datetime(2000, 1, 1, tzinfo=dt.UTC))

# Times the CPU of a plain loop, which has its rows or records made beforehand.
_CPU_BOUNDS = {"SQLite": 3.5, "SQLite, sealed": 6.0, "OTLP": 5.0, "PostgreSQL": 4.0}
_SEALED_SHARE = 0.35  # of the size of rows

Commits = Sequence[Mapping[int, Sequence[TailedEntry]]]
"""The lines of each transaction, by service."""


@dataclass(frozen=True)
class Lap:
    """The cost of storing some lines once."""

    seconds: float
    cpu: float  # seconds of this process
    size: float | None = None  # bytes

    def figures(self, lines: int) -> dict[str, float]:
        """Return the figures of a row."""
        million = 1_000_000 / lines
        found = {"lines/s": lines / self.seconds, "CPU s a million lines": self.cpu * million}
        if self.size is not None:
            found["MB a million lines"] = self.size / 1e6 * million
        return found


Contender = Callable[[], Awaitable[Lap]]


async def run(*, quick: bool) -> Report:
    """Let each store and its plain loop take turns."""
    lines, rounds = (20_000, 1) if quick else (100_000, 3)
    # A block has 2,000 lines of one service: with many services there is none, with four many.
    rows, blocks = _commits(lines, lines // 2_000), _commits(lines, 4)
    text = sum(len(log_message(number)) for number in range(lines))
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        stored = folder / "to-send.db"
        await _keep(SQLiteStore(stored), blocks, partial(_is_sealed, stored))
        async with canned_server() as url, _postgres() as new_database:
            pairs: dict[str, tuple[Contender, Contender]] = {
                "SQLite": (
                    partial(_sqlite, folder, rows),
                    partial(_plain_sqlite, folder, rows),
                ),
                "SQLite, sealed": (
                    partial(_sqlite, folder, blocks),
                    partial(_plain_sqlite, folder, blocks),
                ),
                "OTLP": (
                    partial(_otlp, url, stored, lines),
                    partial(_plain_otlp, url, blocks),
                ),
            }
            if new_database is not None:
                pairs["PostgreSQL"] = (
                    partial(_postgresql, new_database, blocks),
                    partial(_plain_postgresql, new_database, blocks),
                )
            laps = await _race(pairs, rounds)
    return _report(laps, lines, text)


async def _race(
    pairs: Mapping[str, tuple[Contender, Contender]], rounds: int
) -> dict[str, list[tuple[Lap, Lap]]]:
    laps: dict[str, list[tuple[Lap, Lap]]] = {name: [] for name in pairs}
    for _ in range(rounds):
        for name, pair in pairs.items():
            found: list[Lap] = []
            for contender in pair:
                gc.collect()  # so that no lap pays for the garbage of the previous one
                found.append(await contender())
            laps[name].append((found[0], found[1]))
    return laps


def _report(laps: Mapping[str, Sequence[tuple[Lap, Lap]]], lines: int, text: int) -> Report:
    rows: list[Row] = []
    goals: list[Goal] = []
    for name, pairs in laps.items():
        ratio = median(ours.cpu / plain.cpu for ours, plain in pairs)
        for index, title in enumerate((name, "  plain loop")):
            some = [pair[index] for pair in pairs]
            middle = Lap(
                median(lap.seconds for lap in some), median(lap.cpu for lap in some), some[-1].size
            )
            times = {"CPU of the plain loop": ratio if index == 0 else 1.0}
            rows.append(Row(title, middle.figures(lines) | times))
        claim = f"lines into {name}: the CPU time of a plain loop"
        goals.append(Goal(claim, ratio, at_most=_CPU_BOUNDS[name]))
    sealed = laps["SQLite, sealed"][-1]
    if sealed[0].size is not None and sealed[1].size is not None:
        share = sealed[0].size / sealed[1].size
        claim = "sealed lines: the size of rows"
        goals.append(Goal(claim, share, at_most=_SEALED_SHARE))
    million = text / lines
    title = f"{lines:,} lines stored and sent (their text is {million:.0f} MB a million)"
    return Report(title, rows, goals)


def _commits(lines: int, services: int) -> Commits:
    commits: list[dict[int, list[TailedEntry]]] = []
    for first in range(0, lines, _COMMIT):
        commit: dict[int, list[TailedEntry]] = {}
        for number in range(first, min(first + _COMMIT, lines)):
            service_id = 1 + number // _PAGE % services
            entry = TailedEntry(
                message=log_message(number),
                stream="stderr" if number % 10 == 0 else "stdout",
                created_at=_START + dt.timedelta(milliseconds=number),
                source="user",
                service_id=service_id,
                deployment_id=10 * service_id,
            )
            commit.setdefault(service_id, []).append(entry)
        commits.append(commit)
    return commits


def _rows(commits: Commits) -> list[list[tuple[int, StoredRow]]]:
    """Make the rows of each transaction, as the stores write them."""
    seqs: dict[int, int] = {}
    made: list[list[tuple[int, StoredRow]]] = []
    for commit in commits:
        rows: list[tuple[int, StoredRow]] = []
        for service_id, entries in commit.items():
            seq = seqs.get(service_id, 0)
            rows += ((service_id, row) for row in rows_of(entries, seq, to_micros(_START)))
            seqs[service_id] = seq + len(entries)
        made.append(rows)
    return made


# Ours


async def _keep(
    store: Store, commits: Commits, settled: Callable[[], bool] = lambda: True
) -> tuple[float, float]:
    """Store the lines; return the seconds and the CPU seconds until the store is closed."""
    began, cpu = perf_counter(), process_time()
    async with store:
        services = sorted({service_id for commit in commits for service_id in commit})
        leases = (await store.lease(services, [])).granted
        bases = {lease.service_id: lease.commit_id for lease in leases}
        for commit in commits:
            batches = [
                PendingBatch(
                    service_id=service_id,
                    service_name=f"service-{service_id}",
                    base=bases[service_id],
                    commit_id=uuid4(),
                    cursor=LogCursor(service_id=service_id, start_at=_START),
                    entries=entries,
                )
                for service_id, entries in commit.items()
            ]
            result = await store.keep(batches)
            check(result.kept.keys(), commit.keys())
            bases |= {batch.service_id: batch.commit_id for batch in batches}
        while not settled():
            await asyncio.sleep(0.02)
    return perf_counter() - began, process_time() - cpu


async def _check_kept(store: Store, commits: Commits) -> None:
    async with store:
        audit = await store.audit()
    check(audit.problems, ())
    expected = sum(len(entries) for commit in commits for entries in commit.values())
    check(sum(each.lines for each in audit.services), expected)


async def _sqlite(folder: Path, commits: Commits) -> Lap:
    path = folder / "store.db"
    seconds, cpu = await _keep(SQLiteStore(path), commits, partial(_is_sealed, path))
    await _check_kept(SQLiteStore(path, read_only=True), commits)
    return Lap(seconds, cpu, _removed(path))


def _is_sealed(path: Path) -> bool:
    """Return whether all blocks are sealed, which happens after the commits."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT max(seq - sealed_seq) FROM tail").fetchone()
    return int(found[0]) < _BLOCK_ROWS


async def _postgresql(new_database: NewDatabase, commits: Commits) -> Lap:
    async with aclosing(new_database()) as databases:
        url = await anext(databases)
        seconds, cpu = await _keep(open_store(url), commits)
        await _check_kept(open_store(url, read_only=True), commits)
        return Lap(seconds, cpu, await _size_of(url, "aioservices.line"))


async def _otlp(url: str, path: Path, lines: int) -> Lap:
    """Send all lines of a store, with a new position after each request."""
    began, cpu = perf_counter(), process_time()
    async with SQLiteStore(path) as store:
        forwarder = open_forwarder(f"otlp:{url}v1/logs")
        worker = ForwardWorker(store, forwarder)
        try:
            await worker.forward_stored()
        finally:
            await forwarder.aclose()  # type: ignore[attr-defined]
        lap = Lap(perf_counter() - began, process_time() - cpu)
        check(worker.status.sent, lines)
        check(await store.resend(worker.name), lines)  # for the next lap
    return lap


# Plain loops


async def _plain_sqlite(folder: Path, commits: Commits) -> Lap:
    path, rows = folder / "plain.db", _rows(commits)
    began, cpu = perf_counter(), process_time()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            """PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
            CREATE TABLE line (service_id INTEGER NOT NULL, seq INTEGER NOT NULL,
                created_at INTEGER, kept_at INTEGER, deployment_id INTEGER, copy INTEGER,
                severity INTEGER, stream TEXT, source TEXT, message TEXT, raw BLOB,
                PRIMARY KEY (service_id, seq)) WITHOUT ROWID;"""
        )
        for some in rows:
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((service_id, *row) for service_id, row in some),
            )
            connection.execute("COMMIT")
    return Lap(perf_counter() - began, process_time() - cpu, _removed(path))


def _removed(path: Path) -> int:
    """Remove a database, and return its size without free pages."""
    with closing(sqlite3.connect(path)) as connection:
        pages, free, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()
    return (pages - free) * size


async def _plain_postgresql(new_database: NewDatabase, commits: Commits) -> Lap:
    import psycopg

    rows = _rows(commits)
    async with aclosing(new_database()) as databases:
        url = await anext(databases)
        began, cpu = perf_counter(), process_time()
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute(
                """CREATE TABLE line (created_at timestamptz, kept_at timestamptz,
                       service_id bigint, deployment_id bigint, seq bigint, copy integer,
                       severity smallint, stream text, source text, message text, raw bytea);
                   CREATE UNIQUE INDEX ON line (service_id, created_at, seq);
                   CREATE INDEX ON line (service_id, seq);
                   CREATE INDEX ON line USING brin (created_at)"""
            )
            await connection.commit()
            for some in rows:
                async with (
                    connection.cursor() as cursor,
                    cursor.copy("COPY line FROM STDIN (FORMAT BINARY)") as copy,
                ):
                    copy.set_types([*["int8"] * 5, "int4", "int2", *["text"] * 3, "bytea"])
                    for service_id, row in some:
                        times = (row.created_at - _POSTGRES_EPOCH, row.kept_at - _POSTGRES_EPOCH)
                        await copy.write_row(
                            (*times, service_id, row.deployment_id, row.seq, *row[4:])
                        )
                await connection.commit()
        lap = Lap(perf_counter() - began, process_time() - cpu)
        return Lap(lap.seconds, lap.cpu, await _size_of(url, "line"))


async def _plain_otlp(url: str, commits: Commits) -> Lap:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
        ExportLogsServiceRequest,
    )

    lines = [entry for commit in commits for entries in commit.values() for entry in entries]
    uids = [entry.line_id for entry in lines]
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    began, cpu = perf_counter(), process_time()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        for first in range(0, len(lines), _SEND):
            request = ExportLogsServiceRequest()
            records = request.resource_logs.add().scope_logs.add().log_records
            for entry, uid in zip(lines[first : first + _SEND], uids[first:], strict=False):
                record = records.add()
                record.time_unix_nano = to_micros(entry.created_at) * 1000
                record.body.string_value = entry.message or ""
                pairs = (("log.record.uid", uid), ("log.iostream", entry.stream))
                for key, value in (*pairs, ("civis.log.source", entry.source)):
                    attribute = record.attributes.add()
                    attribute.key = key
                    attribute.value.string_value = value or ""
            body = gzip.compress(request.SerializeToString(), compresslevel=5)
            async with http.post(f"{url}v1/logs", data=body, headers=headers) as answer:
                check(answer.status, 200)
    return Lap(perf_counter() - began, process_time() - cpu)


# PostgreSQL

NewDatabase = Callable[[], AsyncGenerator[str]]
"""Creates an empty database, yields its URL, and drops it."""


@asynccontextmanager
async def _postgres() -> AsyncGenerator[NewDatabase | None]:
    """Return a function that creates databases, if this machine has a PostgreSQL."""
    try:
        import psycopg
    except ImportError:
        print("PostgreSQL is left out: psycopg is not installed", file=sys.stderr)
        yield None
        return
    try:
        admin = await psycopg.AsyncConnection.connect(
            f"{_SERVER}/postgres", autocommit=True, connect_timeout=3
        )
    except psycopg.OperationalError as exc:
        print(f"PostgreSQL is left out: {exc}".splitlines()[0], file=sys.stderr)
        yield None
        return

    async def new_database() -> AsyncGenerator[str]:
        name = f"aioservices_bench_{uuid4().hex[:12]}"
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'".encode())
        try:
            yield f"{_SERVER}/{name}"
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    async with admin:
        yield new_database


async def _size_of(url: str, table: str) -> int:
    """Return the size of a table with its partitions and indexes."""
    import psycopg

    async with await psycopg.AsyncConnection.connect(url) as connection:
        found = await connection.execute(
            """SELECT coalesce(sum(pg_total_relation_size(relid))::bigint,
                               pg_total_relation_size(%s))
               FROM pg_partition_tree(%s) WHERE isleaf""",
            (table, table),
        )
        row = await found.fetchone()
    assert row is not None
    return int(row[0])
