"""What every store does, whatever it is made of."""

from __future__ import annotations

import datetime as dt
import uuid

import anyio
import msgspec
import pytest

from aioservices import Services
from aioservices.stores import (
    DaemonInfo,
    RejectedLines,
    Retention,
    StoreConfigError,
    StoredGap,
    StoreError,
    open_store,
    to_json_line,
)
from aioservices.tail import LogCursor

from .lines import START, Writer, line, lines, messages

pytestmark = pytest.mark.anyio


async def test_what_is_kept_is_read_back_as_it_was(store_url: str) -> None:
    entry = line(1, message="Grüße 🚀", stream="stderr", source="system", copy=3)
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep([entry])
        (stored,) = [each async for each in store.read(1)]
    assert stored.original() == entry
    assert stored.line_id == entry.line_id
    assert (stored.seq, stored.service_name) == (1, "web")


async def test_lines_are_numbered_in_the_order_of_keeping(store_url: str) -> None:
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        await writer.keep([line(5), line(6)])
        await writer.keep([line(3)])
        stored = await store.read_after(1, 0, 10)
    assert [(each.seq, each.message) for each in stored] == [
        (1, "line 5"),
        (2, "line 6"),
        (3, "line 3"),
    ]


async def test_reading_goes_by_the_time_of_writing(store_url: str) -> None:
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        for numbers in ([5, 6], [3], [4, 9], [1]):
            await writer.keep([line(number) for number in numbers])
        assert await messages(store) == [f"line {number}" for number in (1, 3, 4, 5, 6, 9)]


async def test_late_lines_take_their_place_among_thousands_of_older_ones(store_url: str) -> None:
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        even = [line(number) for number in range(0, 12_000, 2)]
        for first in range(0, len(even), 1000):
            await writer.keep(even[first : first + 1000])
        odd = [line(number) for number in range(1, 12_000, 2)]
        for first in range(0, len(odd), 1000):
            await writer.keep(odd[first : first + 1000])
        assert await messages(store) == [f"line {number}" for number in range(12_000)]
        assert (await store.audit(thorough=True)).ok


@pytest.mark.parametrize("count", [0, 1, 7, 3000])
async def test_the_last_lines_are_those_that_were_written_last(store_url: str, count: int) -> None:
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        await writer.keep(lines(1001, 4000))
        await writer.keep(lines(1, 1000))
        found = [each.message async for each in store.read(1, last=count)]
    assert found == [f"line {number}" for number in range(4001 - count, 4001)]


async def test_reading_can_be_limited_to_times_a_deployment_and_a_text(store_url: str) -> None:
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        await writer.keep(lines(1, 3000))
        await writer.keep([line(3001, deployment_id=11), line(3002, message=None)])
        at = dt.timedelta(milliseconds=1)
        assert [
            each.message
            async for each in store.read(1, start_at=START + 7 * at, end_at=START + 9 * at)
        ] == ["line 7", "line 8", "line 9"]
        assert [each.message async for each in store.read(1, deployment_id=11)] == ["line 3001"]
        assert [each.message async for each in store.read(1, contains="e 299")] == [
            "line 299",
            *(f"line {number}" for number in range(2990, 3000)),
        ]
        assert [
            each.seq async for each in store.read(1, contains="7", where=lambda e: e.seq > 2976)
        ] == [2977, 2978, 2979, 2987, 2997]
        assert [
            each.seq async for each in store.read(1, where=lambda e: e.seq % 1000 == 0, last=2)
        ] == [2000, 3000]


async def test_a_service_that_is_not_stored_has_no_lines(store_url: str) -> None:
    async with open_store(store_url) as store:
        assert await messages(store, 404) == []
        assert await store.read_after(404, 0, 10) == []


async def test_forwarders_read_every_line_by_its_number(store_url: str) -> None:
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        for first in range(1, 9001, 1500):
            await writer.keep(lines(first, first + 1499))
        seq, seen = 0, []
        while found := await store.read_after(1, seq, 700):
            seen += [each.seq for each in found]
            seq = found[-1].seq
    assert seen == list(range(1, 9001))


# Exactly once


async def test_a_batch_that_is_kept_twice_is_stored_once(store_url: str) -> None:
    async with open_store(store_url) as store:
        batch = (await Writer.on(store)).batch(lines(1, 3))
        first = await store.keep([batch])
        again = await store.keep([batch])
        assert first == again
        assert first.kept == {1: 3}
        assert await messages(store) == ["line 1", "line 2", "line 3"]
        assert (await store.audit(thorough=True)).ok


async def test_a_batch_on_a_tail_that_stands_elsewhere_is_fenced(store_url: str) -> None:
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        stale = writer.batch([line(99)])
        await writer.keep([line(1)])
        other = await Writer.on(store, 2)
        result = await store.keep([stale, other.batch([line(5, service_id=2)])])
        assert result.fenced == {1}
        assert result.kept == {2: 1}
        assert await messages(store) == ["line 1"]
        assert await messages(store, 2) == ["line 5"]


async def test_the_cursor_is_kept_with_the_lines(store_url: str) -> None:
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        assert (await store.lease([1], [])).granted[0].cursor is None
        await writer.keep([line(1)])
        (lease,) = (await store.lease([1], [])).granted
    assert lease.cursor == LogCursor(service_id=1, start_at=START)
    assert lease.commit_id == writer.base
    assert lease.seq == 1


async def test_a_store_is_whole_after_it_was_closed_and_opened_again(store_url: str) -> None:
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep(lines(1, 100))
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep(lines(101, 200))
        audit = await store.audit(thorough=True)
        assert audit.ok
        assert [(each.lines, each.seq) for each in audit.services] == [(200, 200)]


async def test_the_cursor_can_move_without_lines(store_url: str) -> None:
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        assert (await writer.keep([])).kept == {1: 0}
        assert (await store.lease([1], [])).granted[0].cursor is not None


# What lines may hold


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("a\0b", "a␀b"),
        ("\0", "␀"),
        ("half \ud800 surrogate", "half \ufffd surrogate"),
        ("\0\udfff", "␀\ufffd"),
    ],
)
async def test_a_message_that_no_database_takes_keeps_its_exact_bytes(
    store_url: str, message: str, text: str
) -> None:
    entry = line(1, message=message)
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep([line(0), entry, line(2)])
        _, stored, _ = [each async for each in store.read(1)]
        assert stored.message == text
        assert stored.raw == message.encode("utf-8", "surrogatepass")
        assert stored.line_id == entry.line_id
        assert (await store.audit(thorough=True)).ok


async def test_lines_of_the_year_1_and_of_the_year_9999_are_kept(store_url: str) -> None:
    first = dt.datetime.min.replace(tzinfo=dt.UTC)
    last = dt.datetime.max.replace(tzinfo=dt.UTC)
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep(
            [line(0, created_at=first), line(1), line(2, created_at=last)]
        )
        assert [each.created_at async for each in store.read(1)] == [
            first,
            START + dt.timedelta(milliseconds=1),
            last,
        ]


async def test_a_line_without_text_stream_and_source_is_kept(store_url: str) -> None:
    entry = line(1, message=None, stream=None, source=None)
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep([entry])
        (stored,) = [each async for each in store.read(1)]
    assert stored.original() == entry


async def test_the_json_of_a_stored_line_names_all_that_it_is(store_url: str) -> None:
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep([line(1, message="a\0b")])
        (stored,) = [each async for each in store.read(1)]
    document = msgspec.json.decode(to_json_line(stored))
    assert document["message"] == "a\0b"
    assert document["line_id"] == stored.line_id
    assert sorted(document) == sorted(
        [
            "service_id",
            "service_name",
            "deployment_id",
            "seq",
            "created_at",
            "kept_at",
            "stream",
            "source",
            "message",
            "copy",
            "line_id",
        ]
    )


async def test_gaps_are_kept_in_the_transaction_of_their_lines(store_url: str) -> None:
    gap = StoredGap(service_id=1, deployment_id=10, start=START, end=None)
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        batch = writer.batch([line(1)], (gap,))
        await store.keep([batch])
        await store.keep([batch])
        (found,) = await store.gaps(1)
        assert msgspec.structs.replace(found, noted_at=None) == gap
        assert await store.gaps(2) == []
        assert (await store.audit()).services[0].gaps == 1


# Services and audit


async def test_services_are_listed_by_their_last_known_name(store_url: str) -> None:
    async with open_store(store_url) as store:
        writer = await Writer.on(store, 7, "old")
        await writer.keep([line(1, service_id=7)])
        writer.name = "new"
        await writer.keep([])
        writer.name = None
        await writer.keep([])
        (service,) = await store.services()
    assert (service.service_id, service.service_name, service.seq) == (7, "new", 1)


# Forwarding


async def test_a_forwarder_begins_before_the_first_line(store_url: str) -> None:
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep(lines(1, 5))
        (position,) = await store.forward_positions("otlp")
        assert (position.seq, position.behind) == (0, 5)
        assert await store.forward_positions() == []


async def test_a_position_moves_only_from_where_it_is(store_url: str) -> None:
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep(lines(1, 5))
        assert await store.mark_forwarded("otlp", {1: (0, 3)}, place="here", note="three")
        assert not await store.mark_forwarded("otlp", {1: (0, 5)}, place="here", note="five")
        (position,) = await store.forward_positions("otlp")
        assert (position.seq, position.behind) == (3, 2)
        assert await store.forward_note("otlp", "here") == "three"
        assert await store.forward_note("otlp", "there") is None


async def test_dead_letters_are_kept_with_their_reason_and_can_be_sent_again(
    store_url: str,
) -> None:
    letter = RejectedLines(
        forwarder="otlp", service_id=1, first_seq=2, last_seq=2, count=1, reason="too\0 long"
    )
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep(lines(1, 5))
        await store.mark_forwarded("otlp", {1: (0, 5)}, rejected=[letter])
        (found,) = await store.rejected("otlp")
        assert (found.first_seq, found.count) == (2, 1)
        assert await store.resend("otlp", rejected_only=True) == 4
        assert (await store.forward_positions("otlp"))[0].seq == 1
        assert await store.rejected() == []


async def test_a_forwarder_can_be_moved_back_to_the_beginning_or_to_a_time(store_url: str) -> None:
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        await writer.keep(lines(1, 5))
        (*_, last) = await store.read_after(1, 0, 10)
        await anyio.sleep(0.002)
        await writer.keep(lines(6, 8))
        await store.mark_forwarded("otlp", {1: (0, 8)})
        later = last.kept_at + dt.timedelta(microseconds=1)
        assert await store.resend("otlp", since=later) == 3
        assert await store.resend("otlp") == 5
        assert await store.resend("otlp") == 0


# Retention


async def test_lines_that_every_forwarder_has_sent_can_be_removed(store_url: str) -> None:
    retention = Retention(forwarded_to=("a", "b"))
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep(lines(1, 5000))
        await store.mark_forwarded("a", {1: (0, 4000)})
        assert (await store.retain(retention)).lines == 0
        await store.mark_forwarded("b", {1: (0, 3000)})
        removed = await store.retain(retention)
        audit = await store.audit(thorough=True)
        left = await store.read_after(1, 0, 5000)
    assert audit.ok
    assert removed.lines == audit.services[0].removed
    # SQLite removes whole blocks, and those blocks may be not there yet.
    assert left[-1].seq == 5000
    assert left[0].seq <= 3001
    assert removed.lines == left[0].seq - 1 > 0


async def test_the_old_lines_of_a_quiet_service_are_removed_though_they_are_sealed_with_new_ones(
    store_url: str,
) -> None:
    now = dt.datetime.now(dt.UTC)
    hour = dt.timedelta(hours=1)
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        await writer.keep([line(n, created_at=now - (3000 - n) * hour) for n in range(3000)])
        await writer.keep([])
        keep = dt.timedelta(days=50)
        for _ in range(5):  # sealing continues behind what is written
            await store.retain(Retention(max_age=keep))
        left = [entry async for entry in store.read(1)]
        assert keep - hour <= now - left[0].created_at <= keep + dt.timedelta(days=1) + hour
        assert [each.seq for each in left] == [*range(left[0].seq, 3001)]
        assert (await store.read_after(1, 0, 5000))[0].seq == left[0].seq
        audit = await store.audit(thorough=True)
        assert audit.ok
        assert audit.services[0].removed == left[0].seq - 1
    async with open_store(store_url) as store:
        assert (await store.audit(thorough=True)).ok


async def test_lines_that_are_too_old_are_removed_and_counted(store_url: str) -> None:
    now = dt.datetime.now(dt.UTC)
    old = [line(n, created_at=now - dt.timedelta(days=40, seconds=n)) for n in range(3000)]
    new = [line(n, created_at=now - dt.timedelta(seconds=n)) for n in range(10)]
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        await writer.keep(old)
        await writer.keep(new)
        await store.mark_forwarded("otlp", {1: (0, 2000)})
        removed = await store.retain(Retention(max_age=dt.timedelta(days=30)))
        assert removed.lines == 3000
        assert removed.unsent == {"otlp": 1000}
        audit = await store.audit(thorough=True)
        assert audit.ok
        assert (audit.services[0].lines, audit.services[0].seq) == (10, 3010)
        assert [each.seq for each in await store.read_after(1, 2000, 5)] == [
            3001,
            *range(3002, 3006),
        ]
        await writer.keep([line(5)])
    async with open_store(store_url) as store:
        assert (await store.audit()).ok


async def test_the_oldest_lines_go_when_the_store_is_too_large(store_url: str) -> None:
    now = dt.datetime.now(dt.UTC)
    async with open_store(store_url) as store:
        writer = await Writer.on(store)
        for day in range(20, 0, -1):
            at = now - dt.timedelta(days=day)
            await writer.keep(
                [line(n, message=uuid.uuid4().hex * 8, created_at=at) for n in range(500)]
            )
        size = (await store.audit()).bytes
        removed = await store.retain(Retention(max_bytes=size // 2))
        audit = await store.audit(thorough=True)
        left = await store.read_after(1, 0, 1)
    assert audit.ok
    assert 0 < removed.lines < 10_000
    assert audit.bytes <= size
    assert left[0].seq == removed.lines + 1


# Misuse


async def test_reading_only_makes_nothing(store_url: str) -> None:
    with pytest.raises(StoreConfigError, match="there is no store"):
        async with open_store(store_url, read_only=True):
            pass


async def test_a_store_that_is_read_only_cannot_be_written(store_url: str) -> None:
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep([line(1)])
        async with open_store(store_url, read_only=True) as reader:
            assert await messages(reader) == ["line 1"]
            with pytest.raises(StoreError, match="read-only"):
                await reader.lease([1], [])


async def test_a_store_that_is_not_open_says_so(store_url: str) -> None:
    store = open_store(store_url)
    with pytest.raises(StoreError, match="not open"):
        await store.lease([1], [])


@pytest.mark.parametrize(
    "url",
    ["", "logs.db", "sqlite:", "sqlite://host/x", "sqlite::memory:", "mysql://x/y", "postgresql:x"],
)
def test_a_url_that_is_no_stores_is_refused_with_the_forms_that_are(url: str) -> None:
    with pytest.raises(StoreConfigError, match="sqlite:PATH"):
        open_store(url)


def test_a_password_is_in_no_message() -> None:
    for url in ("postgresql://me:s3cret@[host/db", "mysql://me:s3cret@host/db"):
        with pytest.raises(StoreConfigError) as caught:
            open_store(url)
        assert "s3cret" not in str(caught.value)
    assert "s3cret" not in open_store("postgresql://me:s3cret@host/db").url


async def test_a_key_is_known_by_a_salted_hash(store_url: str) -> None:
    async with open_store(store_url) as store:
        async with Services("one", base_url="http://127.0.0.1:9") as services:
            key_id = services.key_id(store.salt)
        async with Services("two", base_url="http://127.0.0.1:9") as services:
            assert services.key_id(store.salt) != key_id
        assert b"one" not in key_id
        info = DaemonInfo(host="here", version="1", key_ids=(key_id,), tails=0)
        assert await store.heartbeat(info) == {key_id: 1}


async def test_a_clock_that_is_ahead_of_the_servers_removes_no_line_too_early(
    store_url: str,
) -> None:
    then = dt.datetime(2000, 1, 1, 12, tzinfo=dt.UTC)
    day = dt.timedelta(days=1)
    async with open_store(store_url) as store:
        await (await Writer.on(store)).keep([line(1, created_at=then)])
        for server_time in (then + day, then - 400 * day):
            await store.retain(Retention(max_age=day, server_time=server_time))
            assert await messages(store) == ["line 1"]
        removed = await store.retain(Retention(max_age=day, server_time=then + 3 * day))
        assert removed.lines == 1
        assert await messages(store) == []
