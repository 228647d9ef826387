"""The log of a deployment, with every behaviour against the plainest account of it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from math import ceil, floor
from operator import itemgetter
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.emulator import Emulator, LogBehaviour, instants
from aioservices.emulator.instants import NANOSECONDS, Unit
from aioservices.emulator.logs import Log
from tests.emulator.conftest import Client

START = 1_800_000_000 * 10**9
units: st.SearchStrategy[Unit] = st.sampled_from(["s", "ms", "us", "ns"])
moments = st.integers(0, 3 * 10**9).map(lambda offset: START + offset) | st.integers(0, 6).map(
    lambda tenths: START + tenths * 10**8
)
behaviours = st.builds(
    LogBehaviour,
    keeps=st.sampled_from(["oldest", "newest", "any"]),
    order=st.sampled_from(["asc", "desc", "unsorted"]),
    start_unit=units,
    end_unit=units,
    start_rounding=st.sampled_from(["down", "up"]),
    end_rounding=st.sampled_from(["down", "up"]),
    ignores_end_at=st.booleans(),
    max_limit=st.none() | st.integers(1, 5),
    unit=units,
)


def write(log: Log, message: str, at: int, behaviour: LogBehaviour, **options: Any) -> None:
    log.write(
        message, now=START, at=at, stream="stdout", source="user", behaviour=behaviour, **options
    )


def read(
    log: Log,
    behaviour: LogBehaviour,
    *,
    now: int = START,
    start_at: int | None = None,
    end_at: int | None = None,
    limit: int = 10_000,
) -> list[tuple[int, str]]:
    page = log.query(
        now, start_at=start_at, end_at=end_at, limit=limit, behaviour=behaviour, random=Random(0)
    )
    lines = [msgspec.json.decode(line) for line in page]
    return [(instants.parse(line["createdAt"]), line["message"]) for line in lines]


def expected(
    times: Sequence[int], behaviour: LogBehaviour, start_at: int | None, end_at: int | None
) -> list[tuple[int, str]]:
    """Return the matching lines, by the simplest rule."""
    unit = NANOSECONDS[behaviour.unit]
    found = [(at // unit * unit, str(number)) for number, at in enumerate(times)]
    if start_at is not None:
        unit = NANOSECONDS[behaviour.start_unit]
        rounded = ceil if behaviour.start_rounding == "up" else floor
        found = [line for line in found if line[0] >= rounded(Fraction(start_at, unit)) * unit]
    if end_at is not None and not behaviour.ignores_end_at:
        unit = NANOSECONDS[behaviour.end_unit]
        if behaviour.end_rounding == "up":
            found = [line for line in found if line[0] // unit <= end_at // unit]
        else:
            found = [line for line in found if line[0] <= end_at // unit * unit]
    return sorted(found, key=itemgetter(0))


@given(
    st.lists(moments, max_size=12),
    behaviours,
    st.none() | moments,
    st.none() | moments,
    st.integers(1, 12),
)
def test_a_page_holds_what_the_behaviour_says(
    times: list[int],
    behaviour: LogBehaviour,
    start_at: int | None,
    end_at: int | None,
    limit: int,
) -> None:
    log = Log()
    for number, at in enumerate(times):
        write(log, str(number), at, behaviour)
    page = read(log, behaviour, start_at=start_at, end_at=end_at, limit=limit)
    matching = expected(times, behaviour, start_at, end_at)
    size = min(limit, behaviour.max_limit or limit)
    assert len(page) == min(size, len(matching))
    kept = {"oldest": matching[:size], "newest": matching[-size:], "any": page}[behaviour.keeps]
    assert set(page) <= set(matching)
    assert len(set(page)) == len(page)
    if behaviour.order == "unsorted":
        assert sorted(page) == sorted(kept)
    elif behaviour.keeps == "any":
        assert page == sorted(page, key=itemgetter(0), reverse=behaviour.order == "desc")
    else:
        assert page == (kept if behaviour.order == "asc" else kept[::-1])


def test_identical_lines_stay_apart() -> None:
    log, behaviour = Log(), LogBehaviour()
    for _ in range(3):
        write(log, "same", START, behaviour)
    assert read(log, behaviour) == [(START, "same")] * 3


def test_a_late_line_turns_up_in_its_place() -> None:
    log, behaviour = Log(), LogBehaviour()
    write(log, "late", START, behaviour, visible_after=5.0)
    write(log, "later", START + 10**9, behaviour)
    assert read(log, behaviour, now=START + 5 * 10**9 - 1) == [(START + 10**9, "later")]
    assert [message for _, message in read(log, behaviour, now=START + 5 * 10**9)] == [
        "late",
        "later",
    ]


def test_every_line_can_be_late() -> None:
    log, behaviour = Log(), LogBehaviour(visible_after=2.0)
    write(log, "a", START, behaviour)
    assert read(log, behaviour) == []
    assert read(log, behaviour, now=START + 2 * 10**9) == [(START, "a")]


def test_the_oldest_lines_are_forgotten() -> None:
    log, behaviour = Log(retention=100), LogBehaviour()
    for number in range(1000):
        write(log, str(number), START + number * 10**6, behaviour)
    kept = [int(message) for _, message in read(log, behaviour)]
    assert 100 <= len(kept) <= 111
    assert kept == list(range(1000 - len(kept), 1000))


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        (LogBehaviour(), "2026-11-23T12:34:56.123Z"),
        (LogBehaviour(unit="s"), "2026-11-23T12:34:56Z"),
        (LogBehaviour(unit="us", utc_offset=0), "2026-11-23T12:34:56.123456+00:00"),
        (LogBehaviour(unit="ns", utc_offset=-330), "2026-11-23T07:04:56.123456789-05:30"),
    ],
)
async def test_timestamps_have_the_form_that_was_asked_for(
    client: Client, service_id: int, behaviour: LogBehaviour, text: str
) -> None:
    emulator = client.emulator
    emulator.logs = behaviour
    emulator.log(service_id, "a", at=instants.parse("2026-11-23T12:34:56.123456789Z"))
    path = f"/services/{service_id}/deployments/1001/logs"
    assert [line["createdAt"] for line in await client.get(path)] == [text]


async def test_bounds_and_limit_come_from_the_query(client: Client, service_id: int) -> None:
    emulator = client.emulator
    for second in range(5):
        emulator.log(service_id, str(second), at=datetime(2026, 11, 23, 0, 0, second, tzinfo=UTC))
    bounds = {"start_at": "2026-11-23T00:00:01.000Z", "end_at": "2026-11-23T01:00:03+01:00"}
    assert await client.messages(service_id, 1001, **bounds) == ["1", "2", "3"]
    assert await client.messages(service_id, 1001, limit=2) == ["0", "1"]


async def test_a_line_has_its_stream_source_and_deployment(client: Client, service_id: int) -> None:
    emulator = client.emulator
    first = emulator.deploy(service_id)
    second = emulator.deploy(service_id)
    emulator.log(service_id, "to the first", stream="stderr", source="system", deployment_id=first)
    emulator.log(service_id, "to the current")
    [line] = await client.get(f"/services/{service_id}/deployments/{first}/logs")
    assert (line["message"], line["stream"], line["source"]) == (
        "to the first",
        "stderr",
        "system",
    )
    assert await client.messages(service_id, second) == ["to the current"]


async def test_messages_arrive_as_they_are(client: Client, service_id: int) -> None:
    messages = ["", "\t\x1b[31mred\x1b[0m", 'quotes " and \\', "\u2028 é 日本 🙂", "\x00"]
    for message in messages:
        client.emulator.log(service_id, message)
    assert await client.messages(service_id, 1001) == messages


async def test_a_running_deployment_can_write_by_itself(client: Client) -> None:
    now = START
    async with Emulator(
        services=1, log_interval=1.0, pending_for=0.0, clock=lambda: now
    ) as emulator:
        emulator.deploy(1)
        chatty = Client(emulator, client.session)
        now += 10 * 10**9
        assert len(await chatty.messages(1, 1001)) == 10
        emulator.set_state(1, "sleeping")
        now += 10 * 10**9
        assert len(await chatty.messages(1, 1001)) == 10
        emulator.set_state(1, "running")
        now += 5 * 10**9
        assert len(await chatty.messages(1, 1001)) == 15
        emulator.set_state(1, "terminated")
        now += 5 * 10**9
        assert len(set(await chatty.messages(1, 1001))) == 15


async def test_a_page_has_10_000_lines_by_default(client: Client, service_id: int) -> None:
    for number in range(10_001):
        client.emulator.log(service_id, f"line {number}")
    lines = [f"line {number}" for number in range(10_001)]
    assert await client.messages(service_id, 1001) == lines[:10_000]
    assert await client.messages(service_id, 1001, limit=20_000) == lines
