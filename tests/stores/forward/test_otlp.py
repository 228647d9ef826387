"""Forwarding by OTLP: at least once, no line missing, none under another identifier."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from aiohttp import web

from aioservices.stores import ForwardError, SQLiteStore, StoreConfigError
from aioservices.stores.forward import ForwardWorker, open_forwarder
from aioservices.stores.forward.otlp import OTLPForwarder
from tests.servers.hostile import endless, hostile, stall
from tests.servers.otlp import OTLPReceiver, attribute, otlp_receiver, partial_success
from tests.servers.waiting import PATIENCE, until
from tests.stores.lines import START, Writer, line, lines

pytestmark = pytest.mark.anyio


@pytest.fixture
async def receiver() -> AsyncIterator[OTLPReceiver]:
    async with otlp_receiver() as receiver:
        yield receiver


@asynccontextmanager
async def forwarding(store: SQLiteStore, receiver: OTLPReceiver) -> AsyncIterator[ForwardWorker]:
    """Forward inside the block."""
    async with OTLPForwarder(receiver.url) as forwarder, anyio.create_task_group() as group:
        worker = ForwardWorker(store, forwarder)
        group.start_soon(worker.run)
        with anyio.fail_after(PATIENCE):
            yield worker
        group.cancel_scope.cancel()


async def uids(store: SQLiteStore, service_id: int = 1) -> list[str]:
    return [each.line_id for each in await store.read_after(service_id, 0, 100_000)]


async def test_a_record_is_what_the_line_is(store: SQLiteStore, receiver: OTLPReceiver) -> None:
    writer = await Writer.on(store, 7, "web")
    await writer.keep(
        [line(0, service_id=7, message='{"level": "warn"}', stream="stderr", source="user", copy=2)]
    )
    (stored,) = await store.read_after(7, 0, 1)
    async with forwarding(store, receiver):
        await until(lambda: receiver.records)
    (record,) = receiver.records
    nanoseconds = int(START.timestamp()) * 10**9
    assert record.time_unix_nano == nanoseconds + 2
    assert dt.datetime.fromtimestamp(record.observed_time_unix_nano / 1e9, dt.UTC) - (
        stored.kept_at
    ) < dt.timedelta(milliseconds=1)
    assert record.body.string_value == '{"level": "warn"}'
    assert (record.severity_number, record.severity_text) == (13, "WARN")
    assert attribute(record, "log.iostream") == "stderr"
    assert attribute(record, "civis.log.source") == "user"
    assert attribute(record, "log.record.uid") == stored.line_id
    assert receiver.resources == [
        {"service.name": "web", "deployment.id": "10", "civis.service.id": "7"}
    ]


async def test_a_line_of_the_year_1_and_one_without_text_can_be_sent(
    store: SQLiteStore, receiver: OTLPReceiver
) -> None:
    first = dt.datetime.min.replace(tzinfo=dt.UTC)
    await (await Writer.on(store)).keep([line(0, created_at=first, message=None, stream=None)])
    async with forwarding(store, receiver):
        await until(lambda: receiver.records)
    assert receiver.records[0].time_unix_nano == 0


async def test_every_line_of_every_service_arrives_in_its_order(
    store: SQLiteStore, receiver: OTLPReceiver
) -> None:
    for service_id in (1, 2, 3):
        writer = await Writer.on(store, service_id)
        await writer.keep(lines(1, 1500, service_id=service_id))
    async with forwarding(store, receiver) as worker:
        await until(lambda: len(receiver.records) == 4500)
        await until(lambda: worker.status.behind == 0)
        assert worker.status.sent == 4500
    expected = [uid for service_id in (1, 2, 3) for uid in await uids(store, service_id)]
    assert sorted(receiver.uids) == sorted(expected)
    ones = [
        body
        for body, resource in zip(receiver.bodies, receiver.resources, strict=True)
        if resource["civis.service.id"] == "1"
    ]
    assert ones == [f"line {number}" for number in range(1, 1501)]


async def test_429_is_waited_for_and_401_needs_attention_and_nothing_is_dropped(
    store: SQLiteStore, receiver: OTLPReceiver
) -> None:
    await (await Writer.on(store)).keep(lines(1, 100))
    receiver.answers.append(lambda: web.Response(status=429, headers={"Retry-After": "1"}))
    async with forwarding(store, receiver) as worker:
        await until(lambda: worker.status.retry_in is not None)
        assert "429" in str(worker.status.error)
        assert not worker.status.needs_attention
        retry_in = worker.status.retry_in
        assert retry_in is not None
        assert retry_in > 0.1  # what it asked for, not our own pause
        receiver.is_down = lambda: web.Response(status=401)
        await until(lambda: worker.status.needs_attention)
        assert "401" in str(worker.status.error)
        assert worker.status.behind == 100
        receiver.is_down = None
        await until(lambda: worker.status.error is None and worker.status.sent == 100)
        assert not worker.status.needs_attention
    assert receiver.uids == await uids(store)


@pytest.mark.parametrize("status", [403, 404, 405, 415, 301])
async def test_an_answer_about_the_address_or_the_password_costs_no_line(
    store: SQLiteStore, receiver: OTLPReceiver, status: int
) -> None:
    await (await Writer.on(store)).keep(lines(1, 10))
    receiver.is_down = lambda: web.Response(status=status, headers={"Location": "/x"})
    async with forwarding(store, receiver) as worker:
        await until(lambda: worker.status.needs_attention)
        receiver.is_down = None
        await until(lambda: worker.status.sent == 10)
    assert receiver.uids == await uids(store)
    assert await store.rejected() == []


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_collector_that_is_down_is_waited_for(
    store: SQLiteStore, receiver: OTLPReceiver, status: int
) -> None:
    await (await Writer.on(store)).keep(lines(1, 10))
    receiver.is_down = lambda: web.Response(status=status, text="out of order")
    async with forwarding(store, receiver) as worker:
        await until(lambda: len(receiver.requests) >= 5)
        assert "out of order" in str(worker.status.error)
        assert not worker.status.needs_attention
        await until(lambda: worker.status.oldest_seconds is not None)
        receiver.is_down = None
        await until(lambda: worker.status.sent == 10)
    assert receiver.uids == await uids(store)


async def test_nobody_there_is_waited_for(store: SQLiteStore) -> None:
    await (await Writer.on(store)).keep(lines(1, 10))
    async with OTLPForwarder("http://127.0.0.1:9") as forwarder, anyio.create_task_group() as group:
        worker = ForwardWorker(store, forwarder)
        group.start_soon(worker.run)
        await until(lambda: worker.status.error)
        assert "Connection refused" in str(worker.status.error)
        group.cancel_scope.cancel()
    # The store tells of it, though nothing was ever sent.
    positions = [each for each in await store.forward_positions() if each.forwarder == worker.name]
    assert [(each.seq, each.behind) for each in positions] == [(0, 10)]


async def test_a_batch_that_is_refused_is_halved_down_to_the_line_at_fault(
    store: SQLiteStore, receiver: OTLPReceiver
) -> None:
    await (await Writer.on(store)).keep(lines(1, 500))
    bad = {"line 77", "line 78", "line 400"}
    receiver.refuses = lambda record: record.body.string_value in bad
    async with forwarding(store, receiver) as worker:
        await until(lambda: worker.status.sent == 497)
        assert worker.status.rejected == 3
        await until(lambda: worker.status.behind == 0)
    assert receiver.bodies == [f"line {n}" for n in range(1, 501) if f"line {n}" not in bad]
    letters = await store.rejected()
    assert [(each.first_seq, each.last_seq, each.count) for each in letters] == [
        (77, 77, 1),
        (78, 78, 1),
        (400, 400, 1),
    ]
    assert "a record is not valid" in letters[0].reason


async def test_a_batch_that_is_too_large_is_sent_in_pieces(
    store: SQLiteStore, receiver: OTLPReceiver
) -> None:
    await (await Writer.on(store)).keep(lines(1, 400))
    receiver.longest = 5000
    async with forwarding(store, receiver) as worker:
        await until(lambda: worker.status.sent == 400)
    assert receiver.uids == await uids(store)
    assert await store.rejected() == []


async def test_rejected_records_that_are_not_named_are_noted_and_not_sent_again(
    store: SQLiteStore, receiver: OTLPReceiver
) -> None:
    await (await Writer.on(store)).keep(lines(1, 1000))
    receiver.answers.append(lambda: partial_success(3, "too old"))
    async with forwarding(store, receiver) as worker:
        await until(lambda: worker.status.sent == 997)
        assert worker.status.rejected == 3
        await until(lambda: worker.status.behind == 0)
    assert len(receiver.requests) == 1
    (letter,) = await store.rejected()
    assert (letter.first_seq, letter.last_seq, letter.count) == (1, 1000, 3)
    assert "too old" in letter.reason


async def test_rejected_records_of_several_services_are_noted_once(
    store: SQLiteStore, receiver: OTLPReceiver
) -> None:
    for service_id in (1, 2, 3):
        writer = await Writer.on(store, service_id)
        await writer.keep(lines(1, 10, service_id=service_id))
    receiver.answers.append(lambda: partial_success(3, "too old"))
    async with forwarding(store, receiver) as worker:
        await until(lambda: worker.status.rejected == 3)
    (letter,) = await store.rejected()
    assert letter.count == 3
    assert "3 of 30 lines, of 3 services" in letter.reason


async def test_an_answer_that_never_ends_is_not_read_to_its_end(store: SQLiteStore) -> None:
    await (await Writer.on(store)).keep(lines(1, 5))
    async with hostile(endless()) as server:
        async with OTLPForwarder(server.url) as forwarder:
            worker = ForwardWorker(store, forwarder)
            with anyio.fail_after(PATIENCE):  # before the forwarder's own patience ends
                await worker.forward_stored()
        assert worker.status.sent == 5
        assert len(server.requests) == 1


async def test_why_there_is_no_answer_is_said_in_words(store: SQLiteStore) -> None:
    await (await Writer.on(store)).keep(lines(1, 5))
    async with OTLPForwarder("http://127.0.0.1:9") as forwarder:
        with pytest.raises(ForwardError, match=r"^cannot connect to 127\.0\.0\.1:9: ") as caught:
            await forwarder.send(await store.read_after(1, 0, 5))
    assert "ssl" not in str(caught.value)
    async with hostile(stall) as server, OTLPForwarder(server.url, timeout=0.2) as forwarder:
        with pytest.raises(ForwardError, match=r"^no answer within 0\.2 s$"):
            await forwarder.send(await store.read_after(1, 0, 5))


async def test_a_warning_without_rejected_records_rejects_none(
    store: SQLiteStore, receiver: OTLPReceiver
) -> None:
    await (await Writer.on(store)).keep(lines(1, 10))
    receiver.answers.append(lambda: partial_success(0, "slow down, please"))
    async with forwarding(store, receiver) as worker:
        await until(lambda: worker.status.sent == 10)
    assert await store.rejected() == []


async def test_what_is_sent_again_has_the_same_identifiers(
    store: SQLiteStore, receiver: OTLPReceiver
) -> None:
    await (await Writer.on(store)).keep(lines(1, 50))
    async with forwarding(store, receiver) as worker:
        await until(lambda: worker.status.sent == 50)
        assert await store.resend(worker.name) == 50
        worker.wake()
        await until(lambda: len(receiver.records) == 100)
    assert receiver.uids[:50] == receiver.uids[50:] == await uids(store)


async def test_one_destination_that_is_down_does_not_hold_up_another(
    store: SQLiteStore, receiver: OTLPReceiver
) -> None:
    await (await Writer.on(store)).keep(lines(1, 50))
    async with otlp_receiver() as other:
        other.is_down = lambda: web.Response(status=503)
        async with forwarding(store, other) as stuck, forwarding(store, receiver) as worker:
            await until(lambda: worker.status.sent == 50)
            await until(lambda: stuck.status.error is not None)
            assert stuck.status.sent == 0


async def test_headers_are_sent_with_every_request(
    store: SQLiteStore, receiver: OTLPReceiver
) -> None:
    await (await Writer.on(store)).keep(lines(1, 1))
    forwarder = open_forwarder(f"otlp:{receiver.url}", headers={"Authorization": "Bearer token"})
    assert isinstance(forwarder, OTLPForwarder)
    async with forwarder:
        await ForwardWorker(store, forwarder).forward_stored()
    assert receiver.requests[0].headers["Authorization"] == "Bearer token"


@pytest.mark.parametrize("url", ["otlp:", "otlp:localhost:4318", "otlp:ftp://x", "otlp:http://"])
def test_a_url_that_is_no_collectors_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(StoreConfigError, match="http://localhost:4318"):
        open_forwarder(url)


@pytest.mark.parametrize("url", ["", "kafka:x", "jsonl:", "jsonl:x/", "jsonl:x?rotate=0"])
def test_a_url_that_is_no_forwarders_is_refused(url: str) -> None:
    with pytest.raises(StoreConfigError):
        open_forwarder(url)


def test_the_name_of_a_forwarder_has_no_key_of_its_query() -> None:
    assert "secret" not in OTLPForwarder("http://host/v1/logs?apikey=secret#secret").name


def test_the_name_of_a_forwarder_has_no_password() -> None:
    forwarder = OTLPForwarder("http://me:s3cret@localhost:4318")
    assert forwarder.name == "otlp:http://localhost:4318/v1/logs"
