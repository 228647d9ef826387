"""The PostgreSQL store: leases, fencing, partitions, and what happens to sessions."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import psycopg
import pytest

from aioservices.stores import (
    DaemonInfo,
    PostgresStore,
    Retention,
    StoreConfigError,
    StoreError,
    StoreUnavailableError,
    StoreVersionError,
    open_store,
)
from aioservices.stores.postgres import session as session_module
from tests.servers.postgres import DatabaseClock, new_database, pgbouncer
from tests.servers.waiting import PATIENCE

from .lines import START, Writer, line, lines, messages

pytestmark = pytest.mark.anyio

_KEY = b"key"


def execute(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Execute a statement as somebody else."""
    with psycopg.connect(url, autocommit=True, options="-c search_path=aioservices") as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


async def beat(store: PostgresStore, key: bytes = _KEY) -> None:
    """Send the heartbeat of a daemon."""
    await store.heartbeat(DaemonInfo(host="here", version="1", key_ids=(key,), tails=0))


@asynccontextmanager
async def two(
    url: str, *, lease: float = 30.0
) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    """Open two daemons' stores."""
    async with PostgresStore(url, lease=lease) as one, PostgresStore(url, lease=lease) as other:
        await beat(one)
        await beat(other)
        await beat(one)
        yield one, other


# Leases


async def test_a_service_is_leased_to_one_daemon(postgres_url: str) -> None:
    async with two(postgres_url) as (one, other):
        assert [each.service_id for each in (await one.lease([1], [])).granted] == [1]
        assert (await other.lease([1], [])).granted == ()
        assert (await one.lease([1], [1])).held == {1}


async def test_daemons_of_one_key_share_the_services_fairly(postgres_url: str) -> None:
    services = list(range(1, 12))
    async with two(postgres_url) as (one, other):
        first = {each.service_id for each in (await one.lease(services, [])).granted}
        second = {each.service_id for each in (await other.lease(services, [])).granted}
    assert (len(first), len(second)) == (6, 5)
    assert first | second == set(services)


async def test_a_daemon_that_comes_later_gets_its_share(postgres_url: str) -> None:
    services = list(range(1, 11))
    async with PostgresStore(postgres_url) as one:
        await beat(one)
        held = {each.service_id for each in (await one.lease(services, [])).granted}
        assert held == set(services)
        async with PostgresStore(postgres_url) as other:
            await beat(other)
            await beat(one)
            result = await one.lease(services, held)
            assert result.excess == 5
            given = sorted(held)[: result.excess]
            await one.release(given)
            assert (await one.lease(services, held - set(given))).granted == ()
            granted = (await other.lease(services, [])).granted
            assert sorted(each.service_id for each in granted) == given


async def test_what_another_key_cannot_see_is_read_all_the_same(postgres_url: str) -> None:
    async with PostgresStore(postgres_url) as one, PostgresStore(postgres_url) as other:
        await beat(one, b"one")
        await beat(other, b"other")
        assert len((await one.lease([1, 2, 3], [])).granted) == 3
        assert len((await other.lease([11, 12], [])).granted) == 2


async def test_a_lease_that_is_not_prolonged_is_taken_over(postgres_url: str) -> None:
    async with two(postgres_url, lease=0.2) as (one, other):
        writer = await Writer.on(one)
        await writer.keep([line(1)])
        with anyio.fail_after(PATIENCE):
            while not (granted := (await other.lease([1], [])).granted):
                await anyio.sleep(0.05)
        assert granted[0].seq == 1
        assert granted[0].commit_id == writer.base
        assert (await one.lease([1], [1])).held == frozenset()


async def test_what_is_closed_gives_its_leases_back_at_once(postgres_url: str) -> None:
    async with PostgresStore(postgres_url) as one:
        await one.lease([1], [])
    async with PostgresStore(postgres_url) as other:
        assert len((await other.lease([1], [])).granted) == 1


async def test_a_lease_that_ran_out_and_nobody_took_is_still_good(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, lease=0.01) as store:
        writer = await Writer.on(store)
        await anyio.sleep(0.05)
        assert (await writer.keep([line(1)])).kept == {1: 1}
        assert (await store.lease([1], [1])).held == {1}


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_clock_that_jumps_a_day_changes_leases_and_no_line(
    postgres_url: str, days: int
) -> None:
    async with two(postgres_url) as (one, other):
        first = await Writer.on(one)
        await first.keep(lines(1, 10))
        # As if the database's clock had jumped: all that it has noted lies that much further off.
        execute(
            postgres_url,
            "UPDATE tail SET lease_until = lease_until - %s * interval '1 day',"
            " kept_at = kept_at - %s * interval '1 day'",
            days,
            days,
        )
        granted = (await other.lease([1], [])).granted
        assert bool(granted) == (days > 0)
        if granted:
            second = Writer(other, granted[0])
            assert (await second.keep(lines(11, 20))).kept == {1: 20}
            assert (await first.keep(lines(11, 20))).fenced == {1}
        else:
            assert (await first.keep(lines(11, 20))).kept == {1: 20}
        assert await messages(one) == [f"line {number}" for number in range(1, 21)]
        assert (await one.audit(thorough=True)).ok


# Fencing, with real processes


_DAEMON = """
import asyncio, os, signal, sys
from aioservices.stores import PostgresStore
from tests.stores.lines import Writer, lines

async def main():
    async with PostgresStore(sys.argv[1], lease=float(sys.argv[2])) as store:
        writer = await Writer.on(store)
        print("leased", flush=True)
        for number in range(1, 1_000_000):
            result = await writer.keep(lines(10 * number - 9, 10 * number))
            if result.fenced:
                print("fenced", number, flush=True)
                return
            print("kept", number, flush=True)
            if number == int(sys.argv[3]):
                os.kill(os.getpid(), signal.SIGSTOP)  # in no transaction
asyncio.run(main())
"""


@contextmanager
def daemon(url: str, lease: float, *, stops_after: int = 0) -> Generator[subprocess.Popen[str]]:
    """Run a process that keeps ten lines again and again, and may stop itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", _DAEMON, url, str(lease), str(stops_after)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "leased\n"
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


async def take_over(store: PostgresStore) -> Writer:
    """Wait until a service can be leased."""
    with anyio.fail_after(PATIENCE):
        while not (granted := (await store.lease([1], [])).granted):
            await anyio.sleep(0.05)
    return Writer(store, granted[0])


async def test_a_process_that_is_stopped_beyond_its_lease_is_fenced_when_it_wakes_up(
    postgres_url: str,
) -> None:
    async with PostgresStore(postgres_url, lease=0.3) as store:
        with daemon(postgres_url, 0.3, stops_after=5) as process:
            assert process.stdout is not None
            await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED)
            writer = await take_over(store)
            before = (await store.services())[0].seq
            await writer.keep([line(10**6)])
            process.send_signal(signal.SIGCONT)
            said = await asyncio.to_thread(process.stdout.read)
            assert said.splitlines()[-1].startswith("fenced")
        audit = await store.audit(thorough=True)
        assert audit.ok
        assert audit.services[0].lines == before + 1


async def test_a_process_that_is_killed_is_followed_by_another(postgres_url: str) -> None:
    async with PostgresStore(postgres_url, lease=0.3) as store:
        for _ in range(3):
            with daemon(postgres_url, 0.3) as process:
                assert process.stdout is not None
                while not process.stdout.readline().startswith("kept"):
                    pass
                process.kill()
            writer = await take_over(store)
            await writer.keep([])
            await store.release([1])
            assert (await store.audit()).ok


@contextmanager
def short_patience(seconds: int) -> Generator[None]:
    """Make the server end sessions sooner than usual."""
    with pytest.MonkeyPatch.context() as patch:
        begin = session_module._BEGIN.replace(
            f"idle_in_transaction_session_timeout = '{session_module.STUCK_SECONDS}s'",
            f"idle_in_transaction_session_timeout = '{seconds}s'",
        )
        assert begin != session_module._BEGIN
        patch.setattr(session_module, "_BEGIN", begin)
        patch.setattr("aioservices.stores.postgres.writing.STUCK_SECONDS", seconds)
        yield


async def test_a_session_that_stops_between_update_and_commit_is_ended_by_the_server(
    postgres_url: str,
) -> None:
    with short_patience(1):
        async with two(postgres_url, lease=0.3) as (one, other):
            await Writer.on(one)
            with pytest.raises(StoreUnavailableError):
                await _stop_between_update_and_commit(one, other)
            (lease,) = (await other.lease([1], [])).granted
            assert lease.seq == 0


async def _stop_between_update_and_commit(one: PostgresStore, other: PostgresStore) -> None:
    async with one._writer.transaction() as connection:
        await connection.execute("UPDATE tail SET seq = 99 WHERE service_id = 1")
        # It holds the row and says nothing, as a process does that was stopped here.
        await take_over(other)


async def test_a_session_that_stops_in_the_midst_of_copying_is_ended_by_another_daemon(
    postgres_url: str,
) -> None:
    with short_patience(1):
        async with two(postgres_url, lease=0.3) as (one, other):
            await Writer.on(one)
            stuck = await psycopg.AsyncConnection.connect(
                postgres_url, autocommit=True, application_name=session_module.APPLICATION_NAME
            )
            async with stuck:
                await stuck.execute("BEGIN; SET LOCAL search_path = aioservices")
                await stuck.execute("SELECT FROM tail WHERE service_id = 1 FOR UPDATE")
                await stuck.execute("CREATE TEMPORARY TABLE taken (x text)")
                with pytest.raises(psycopg.OperationalError):
                    await _stop_in_copy(stuck, other)


async def _stop_in_copy(stuck: psycopg.AsyncConnection[Any], other: PostgresStore) -> None:
    async with stuck.cursor() as cursor, cursor.copy("COPY taken FROM STDIN") as copy:
        await copy.write("the beginning of")
        await take_over(other)
        while True:  # until it is noticed that nobody is there
            await copy.write("more" * 10_000)
            await anyio.sleep(0.001)


async def test_a_session_that_is_cut_as_commit_is_answered_writes_nothing_twice(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PostgresStore(postgres_url) as store:
        writer = await Writer.on(store)
        batch = writer.batch(lines(1, 100))
        cut = 0

        execute_really = psycopg.AsyncConnection.execute

        async def execute_and_cut(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal cut
            result = await execute_really(self, query, *args, **kwargs)
            if query == "COMMIT" and cut < 2:
                cut += 1
                raise psycopg.OperationalError("server closed the connection unexpectedly")
            return result

        monkeypatch.setattr(psycopg.AsyncConnection, "execute", execute_and_cut)
        for _ in range(2):  # the partition's transaction is cut, too
            with pytest.raises(StoreUnavailableError, match="unexpectedly"):
                await store.keep([batch])
        assert (await store.keep([batch])).kept == {1: 100}
        assert (await store.audit(thorough=True)).ok
        assert len(await messages(store)) == 100


async def test_sessions_that_are_cut_at_any_moment_lose_and_repeat_nothing(
    postgres_url: str,
) -> None:
    async with PostgresStore(postgres_url) as store:
        writer = await Writer.on(store)
        cuts = 0

        async def cut() -> None:
            nonlocal cuts
            admin = await psycopg.AsyncConnection.connect(postgres_url, autocommit=True)
            async with admin:
                while cuts < 25:
                    cuts += 1
                    await admin.execute(
                        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                           WHERE datname = current_database() AND pid <> pg_backend_pid()"""
                    )
                    await anyio.sleep(0.03)

        failures = number = 0
        async with anyio.create_task_group() as group:
            group.start_soon(cut)
            while cuts < 25:
                batch = writer.batch(lines(number * 100 + 1, number * 100 + 100))
                kept = 0
                while not kept:
                    try:
                        kept = (await store.keep([batch])).kept[1]
                    except StoreUnavailableError:
                        failures += 1
                assert kept == number * 100 + 100
                writer.base = batch.commit_id
                number += 1
        assert failures
        assert (await store.audit(thorough=True)).ok
        assert len(await messages(store)) == 100 * number


async def test_a_tail_that_a_failover_has_set_back_is_read_again_from_there(
    postgres_url: str,
) -> None:
    async with PostgresStore(postgres_url) as store:
        writer = await Writer.on(store)
        await writer.keep(lines(1, 10))
        before = execute(postgres_url, "SELECT commit_id, cursor, seq FROM tail")[0]
        await writer.keep(lines(11, 20))
        # What an asynchronous standby has not received is lost.
        execute(postgres_url, "UPDATE tail SET commit_id = %s, cursor = %s, seq = %s", *before)
        execute(postgres_url, "DELETE FROM line WHERE seq > 10")
        assert (await writer.keep(lines(21, 30))).fenced == {1}
        (lease,) = (await store.lease([1], [])).granted
        assert lease.seq == 10
        await Writer(store, lease).keep(lines(11, 30))
        assert await messages(store) == [f"line {number}" for number in range(1, 31)]
        assert (await store.audit(thorough=True)).ok


# Partitions


async def test_a_backlog_of_a_year_with_a_line_of_the_year_1_makes_its_partitions(
    postgres_url: str,
) -> None:
    first = dt.datetime.min.replace(tzinfo=dt.UTC)
    year = [line(n, created_at=START - dt.timedelta(days=n)) for n in range(365)]
    async with two(postgres_url) as (one, other):
        writers = await Writer.on(one, 1), await Writer.on(other, 2)
        async with anyio.create_task_group() as group:
            for writer in writers:
                group.start_soon(writer.keep, [line(0, created_at=first), *year])
        assert (await one.audit(thorough=True)).ok
        for service_id in (1, 2):
            assert len(await messages(one, service_id)) == 366
    days = execute(postgres_url, "SELECT relname FROM pg_class WHERE relname LIKE 'line\\_2%'")
    assert len([name for (name,) in days if name[5:].isdecimal()]) == 365


async def test_many_daemons_that_make_the_same_partitions_do_not_deadlock(
    postgres_url: str,
) -> None:
    async def work(store: PostgresStore, service_id: int) -> None:
        writer = await Writer.on(store, service_id)
        for number in range(5):
            at = START + dt.timedelta(days=number * service_id % 7)
            await writer.keep([line(number, created_at=at, service_id=service_id)])

    async with (
        PostgresStore(postgres_url) as one,
        PostgresStore(postgres_url) as other,
        PostgresStore(postgres_url) as third,
    ):
        async with anyio.create_task_group() as group:
            for service_id, store in ((1, one), (2, other), (3, third)):
                group.start_soon(work, store, service_id)
        audit = await one.audit(thorough=True)
    assert audit.ok
    assert [each.lines for each in audit.services] == [5, 5, 5]


async def test_a_partition_that_another_daemon_has_dropped_is_made_again(
    postgres_url: str,
) -> None:
    old = dt.datetime.now(dt.UTC) - dt.timedelta(days=40)
    async with two(postgres_url) as (one, other):
        writer = await Writer.on(one)
        await writer.keep([line(1, created_at=old)])
        assert (await other.retain(Retention(max_age=dt.timedelta(days=30)))).lines == 1
        batch = writer.batch([line(2, created_at=old)])
        with pytest.raises(StoreUnavailableError):
            await one.keep([batch])
        assert (await one.keep([batch])).kept == {1: 2}
        assert (await one.audit(thorough=True)).ok


# Schemas


async def test_two_daemons_that_begin_at_once_make_one_store(postgres_url: str) -> None:
    async def begin() -> None:
        async with PostgresStore(postgres_url):
            pass

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(begin)
    assert execute(postgres_url, "SELECT schema FROM meta") == [(1,)]


async def test_tables_of_a_newer_release_are_refused_and_left_as_they_are(
    postgres_url: str,
) -> None:
    async with PostgresStore(postgres_url) as store:
        await (await Writer.on(store)).keep([line(1)])
    execute(postgres_url, "UPDATE meta SET schema = 99")
    for read_only in (False, True):
        with pytest.raises(StoreVersionError, match=r"version 99.*Upgrade"):
            async with PostgresStore(postgres_url, read_only=read_only):
                pass


async def test_a_newer_release_that_changes_the_tables_meanwhile_ends_an_older_daemon(
    postgres_url: str,
) -> None:
    daemon = DaemonInfo(host="here", version="1", key_ids=(b"key",), tails=0)
    async with PostgresStore(postgres_url) as store:
        await store.heartbeat(daemon)
        execute(postgres_url, "UPDATE meta SET schema = 99")
        with pytest.raises(StoreVersionError, match="Upgrade"):
            await store.heartbeat(daemon)


async def test_tables_of_an_older_release_are_brought_up_to_date_or_left_as_they_were(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PostgresStore(postgres_url) as store:
        await (await Writer.on(store)).keep([line(1)])
    schema = "aioservices.stores.postgres.schema"
    monkeypatch.setattr(f"{schema}.SCHEMA_VERSION", 3)
    monkeypatch.setattr(
        f"{schema}._MIGRATIONS", ("ALTER TABLE tail ADD COLUMN added int", "SELECT * FROM missing")
    )
    with pytest.raises(StoreError, match="missing"):
        async with PostgresStore(postgres_url):
            pass
    assert execute(postgres_url, "SELECT schema FROM meta") == [(1,)]
    monkeypatch.setattr(
        f"{schema}._MIGRATIONS",
        ("ALTER TABLE tail ADD COLUMN added int", "UPDATE tail SET added = 7"),
    )
    async with PostgresStore(postgres_url) as store:
        assert await messages(store) == ["line 1"]
    assert execute(postgres_url, "SELECT added FROM tail") == [(7,)]


async def test_a_database_that_is_not_utf_8_is_refused(postgres_server: str) -> None:
    with new_database(postgres_server) as url:
        name = url.rpartition("/")[2]
        with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name}".encode())
            admin.execute(
                f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'".encode()
            )
        with pytest.raises(StoreConfigError, match="LATIN1"):
            async with PostgresStore(url):
                pass


async def test_a_server_that_does_not_exist_is_unavailable() -> None:
    with pytest.raises(StoreUnavailableError):
        async with open_store("postgresql://postgres@127.0.0.1:9/x"):
            pass


async def test_another_time_zone_of_the_database_changes_nothing(postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    execute(postgres_url, f"ALTER DATABASE {name} SET TimeZone = 'America/New_York'")
    async with PostgresStore(postgres_url) as store:
        writer = await Writer.on(store)
        await writer.keep([line(1), line(2, created_at=dt.datetime.min.replace(tzinfo=dt.UTC))])
        stored = [each async for each in store.read(1)]
        assert [each.created_at.year for each in stored] == [1, 2026]
        assert (await store.services())[0].kept_at is not None


# pgbouncer


async def test_it_all_works_through_pgbouncer_in_transaction_mode(
    postgres_server: str, postgres_url: str
) -> None:
    database = postgres_url.rpartition("/")[2]
    with pgbouncer(postgres_server) as server:
        async with two(f"{server}/{database}") as (one, other):
            writers = [
                await Writer.on(store, service_id)
                for store, service_id in ((one, 1), (other, 2), (one, 3))
            ]
            for number in range(0, 500, 100):
                async with anyio.create_task_group() as group:
                    for writer in writers:
                        group.start_soon(writer.keep, lines(number + 1, number + 100))
            for store in (one, other):
                assert (await store.lease([1, 2, 3], [])).excess == 0
                await store.mark_forwarded(f"to {id(store)}", {1: (0, 100)}, note="x")
            found = [each.message async for each in one.read(1, contains="9")]
            assert found == [f"line {number}" for number in range(501) if "9" in str(number)]
            audit = await other.audit(thorough=True)
            assert audit.ok
            assert [each.lines for each in audit.services] == [500, 500, 500]
            assert (await one.retain(Retention(max_bytes=1))).lines == 1500


@asynccontextmanager
async def stumbling(url: str, times: int) -> AsyncIterator[str]:
    """Stand before a server, and answer the end of a COPY by two errors at once, some times."""
    host, _, port = url.partition("@")[2].partition("/")[0].partition(":")
    fields = b"SERROR\0C57P01\0Mterminated\0\0"
    error = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
    left = times

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        back, forth = await asyncio.open_connection(host, int(port))
        answers = asyncio.create_task(pass_on(back, writer))
        try:
            while data := await reader.read(1 << 16):
                if b"c\0\0\0\x04" in data and left:
                    left -= 1
                    writer.write(error + error)
                    break
                forth.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()
            forth.close()
            answers.cancel()
            await asyncio.wait([answers])

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        at = server.sockets[0].getsockname()[1]
        direct = url.replace(f"{host}:{port}", f"127.0.0.1:{at}")
        yield f"{direct}?sslmode=disable&gssencmode=disable"


async def test_more_answers_than_there_were_questions_are_a_broken_connection(
    postgres_url: str,
) -> None:
    async with stumbling(postgres_url, times=2) as url, PostgresStore(url) as store:
        batch = (await Writer.on(store)).batch(lines(1, 100))
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                await store.keep([batch])
        assert (await store.keep([batch])).kept == {1: 100}
        assert (await store.audit(thorough=True)).ok


async def test_a_database_whose_clock_jumps_by_a_day_gives_leases_early_or_late_and_exact_lines(
    postgres_url: str,
) -> None:
    day = 86_400
    with psycopg.connect(postgres_url, autocommit=True) as session:
        clock = DatabaseClock(session)
        async with two(postgres_url) as (one, other):
            first = await Writer.on(one)
            await first.keep(lines(1, 10))
            assert not (await other.lease([1], [])).granted
            clock.set_ahead(day)  # early
            second = await Writer.on(other)
            await second.keep(lines(11, 20))
            assert (await first.keep(lines(11, 20))).fenced == {1}
            assert not (await one.lease([1], [])).granted
            clock.set_ahead(-day)  # late: nobody else has it, and its holder continues
            assert (await other.lease([1], [1])).held == {1}
            await second.keep(lines(21, 30))
            await other.release([1])
            third = await Writer.on(one)
            await third.keep(lines(31, 40))
            assert await messages(one) == [f"line {number}" for number in range(1, 41)]
            assert (await one.audit(thorough=True)).ok


async def test_a_clock_that_jumps_ends_no_session_that_has_just_begun(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as session:
        clock = DatabaseClock(session)
        async with PostgresStore(postgres_url) as store:
            busy = await psycopg.AsyncConnection.connect(
                postgres_url, autocommit=True, application_name=session_module.APPLICATION_NAME
            )
            async with busy:
                await busy.execute("BEGIN")
                clock.set_ahead(86_400)
                await beat(store)
                await store.lease([1], [])
                await busy.execute("COMMIT")
