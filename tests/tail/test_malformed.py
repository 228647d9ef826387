"""Lines that are not as promised."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices import Services
from aioservices.emulator import Emulator, Respond
from aioservices.tail.malformed import PageLines, decode_lenient, decode_lossy
from tests.servers.hostile import hostile

from .conftest import QUICK, arrival, collecting, take, until, write
from .plain import PlainServer

AT = "2026-11-23T12:34:56.000Z"
TIME = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)

values = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers(), max_size=2)
lines = st.dictionaries(st.sampled_from(["message", "stream", "source", "createdAt"]), values)


def untimed(page: PageLines) -> list[tuple[datetime | None, datetime | None, int]]:
    """Between which times how many lines without a time stand."""
    return [(run.after, run.before, len(run.lines)) for run in page.untimed]


@given(st.lists(lines), lines, st.lists(lines))
def test_a_page_of_a_log_keeps_its_length(
    before: list[dict[str, Any]], line: dict[str, Any], after: list[dict[str, Any]]
) -> None:
    page = [*before, line | {"createdAt": AT}, *after]
    decoded = decode_lenient(json.dumps(page).encode())
    assert decoded is not None
    assert decoded.length == len(page)
    assert TIME in {entry.created_at for entry in decoded.entries}


@given(st.binary() | st.recursive(values, st.lists).map(lambda it: json.dumps(it).encode()))
def test_what_is_no_page_is_not_made_one(page: bytes) -> None:
    assert decode_lenient(page) is None


def test_a_text_that_is_none_is_shown_as_json() -> None:
    page = [{"message": {"a": [1, None]}, "stream": 1, "source": None, "createdAt": AT}]
    decoded = decode_lenient(json.dumps(page).encode())
    assert decoded is not None
    [entry] = decoded.entries
    assert (entry.message, entry.stream, entry.source) == ('{"a": [1, null]}', "1", None)


def test_an_entry_that_is_no_object_costs_no_other_line() -> None:
    decoded = decode_lenient(json.dumps([None, {"message": "a", "createdAt": AT}, "b"]).encode())
    assert decoded is not None
    assert [entry.message for entry in decoded.entries] == ["a"]
    assert [line.message for run in decoded.untimed for line in run.lines] == ["null", '"b"']


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-23T12:34:56", TIME),
        ("2026-11-23 12:34:56", TIME),
        ("2026-11-23 14:34:56+02:00", TIME.astimezone(timezone(timedelta(hours=2)))),
        ("soon", None),
        (None, None),
        (5, None),
    ],
)
def test_a_time_is_understood_in_any_form_that_is_one(text: object, time: datetime | None) -> None:
    page = [{"message": "a", "createdAt": text}, {"createdAt": "2026-11-23T12:34:57Z"}]
    decoded = decode_lenient(json.dumps(page).encode(), newest_first=False)
    assert decoded is not None
    later = TIME + timedelta(seconds=1)
    assert [entry.created_at for entry in decoded.entries] == ([time, later] if time else [later])
    assert untimed(decoded) == ([] if time else [(None, later, 1)])


@pytest.mark.parametrize("step", [1, -1])
def test_lines_without_a_time_stand_between_their_neighbours(step: int) -> None:
    later = TIME + timedelta(seconds=1)
    page = [{"message": "a"}, {"createdAt": AT}, {}, {}, {"createdAt": later.isoformat()}, {}]
    decoded = decode_lenient(json.dumps(page[::step]).encode())
    assert decoded is not None
    assert untimed(decoded) == [(None, TIME, 1), (TIME, later, 2), (later, None, 1)]


@pytest.mark.parametrize("newest_first", [False, True, None])
def test_a_page_whose_times_do_not_tell_has_the_order_of_the_pages_before_it(
    newest_first: bool | None,
) -> None:
    page = [{"message": "a"}, {"createdAt": AT}]
    decoded = decode_lenient(json.dumps(page).encode(), newest_first=newest_first)
    assert decoded is not None
    [run] = decoded.untimed
    assert run.is_placed == (newest_first is not None)
    assert not run.is_placed or run[:2] == ((TIME, None) if newest_first else (None, TIME))


def test_a_page_in_no_order_tells_nothing_of_where_its_lines_stand() -> None:
    times = [TIME + timedelta(seconds=second) for second in (0, 2, 1)]
    page = [{"createdAt": times[0].isoformat()}, {"message": "a"}]
    page += [{"createdAt": time.isoformat()} for time in times[1:]]
    decoded = decode_lenient(json.dumps(page).encode())
    assert decoded is not None
    [run] = decoded.untimed
    assert not run.is_placed


def test_bytes_that_no_json_has_do_no_harm() -> None:
    page = b'\xef\xbb\xbf[{"message": "a\x00\xff", "createdAt": "%s"}]' % AT.encode()
    decoded = decode_lenient(page)
    assert decoded is not None
    [entry] = decoded.entries
    assert entry.message == "a\x00\N{REPLACEMENT CHARACTER}"


def test_a_text_that_is_no_unicode_is_replaced_and_all_else_stays_strict() -> None:
    for written in (b"a\xff", b"a\\ud800"):
        [entry] = (
            decode_lossy(b'[{"message": "%s", "createdAt": "%s"}]' % (written, AT.encode())) or []
        )
        assert entry.message == "a\N{REPLACEMENT CHARACTER}"
    assert decode_lossy(b'[{"message": 12, "createdAt": "%s"}]' % AT.encode()) is None
    assert decode_lossy(b'[{"message": "a\xff"') is None


class OddServer(PlainServer):
    """One of whose lines has no time, and another one no text."""

    def _page(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        page: list[dict[str, Any]] = [*super()._page(asked)]
        for line in page:
            if line["message"] == "untimed":
                line["createdAt"] = None
            if line["message"] == "12":
                line["message"] = 12
        return page


async def test_pages_of_something_else_are_no_reason_to_take_an_odd_line_at_once(
    emulator: Emulator, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    odd = Respond(200, body=b'[{"message": 12, "createdAt": "%s"}]' % AT.encode())
    logs = "/services/*/deployments/*/logs"
    async with services.tail_logs(service_id, **QUICK) as tail, collecting(tail) as messages:
        with emulator.fault(Respond(200, body="html"), path=logs) as fault:
            await until(lambda: fault.hits > 4)
        emulator.fault(odd, path=logs, times=2)
        written = write(emulator, service_id, 1)
        await until(lambda: messages == written)
    assert "as well as can be" not in caplog.text


async def test_an_odd_line_does_not_hold_up_its_log(caplog: pytest.LogCaptureFixture) -> None:
    odd = OddServer()
    async with (
        hostile(odd.behave) as server,
        Services("key", base_url=server.url) as services,
        services.tail_logs(1, **QUICK) as tail,
    ):
        for messages in (["a", "b"], ["c", "untimed", "12"], ["d"], ["e"]):
            for message in messages:
                await anyio.sleep(0.002)  # so that each has a time of its own
                odd.write(message)
            assert await take(tail, len(messages)) == messages
        with anyio.move_on_after(0.2):
            raise AssertionError(await anext(tail))
        assert tail.status.outages == 1
    odd_ones = [record for record in caplog.records if "as well as can be" in record.message]
    assert len(odd_ones) == 1
    assert "createdAt" in odd_ones[0].message


class UntimedServer(PlainServer):
    """Shows no time of lines whose message begins with a question mark."""

    def __init__(self, *, newest_first: bool) -> None:
        super().__init__()
        self._newest_first = newest_first

    def _page(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        page: list[dict[str, Any]] = [*super()._page(asked)]
        for line in page:
            if line["message"].startswith("?"):
                line["createdAt"] = "soon"
        return page[::-1] if self._newest_first else page


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("limit", [2, 3, 10, 1000])
async def test_a_line_without_a_time_comes_once_whatever_pages_it_is_on(
    limit: int, every: int, newest_first: bool
) -> None:
    server = UntimedServer(newest_first=newest_first)
    now = datetime.now(UTC)
    written: list[str] = []
    for number in range(60):  # a backlog of many pages, the first and the last line without a time
        text = f"? {number}" if number % every == 0 or number > 56 else f"{number}"
        written += server.write(text, at=now - timedelta(seconds=60 - number / 4))
    async with (
        hostile(server.behave) as running,
        Services("key", base_url=running.url) as services,
        services.tail_logs(1, **QUICK, limit=limit) as tail,
        collecting(tail) as messages,
    ):
        await arrival(messages, len(written))
        # Long after the line before them, then between lines, then the same text again.
        for text in ("? late", "a", "? b", "c", "? b", "d", "? b"):
            written += server.write(text)
            await arrival(messages, len(written))
        pages = len(server.pages)
        await until(lambda: len(server.pages) > pages + 10)
        assert Counter(messages) == Counter(written)
        assert not tail.status.gaps
