"""Servers that hide lines behind a cap that they do not mention, and what shows that they do."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices import Services
from aioservices.tail.malformed import PageLines
from aioservices.tail.scan import PageRequest
from tests.servers.deployments import DeploymentsServer, ago
from tests.servers.hostile import Behaviour as Answer
from tests.servers.hostile import answer, hostile

from .conftest import QUICK, take
from .history import History
from .model import BASE, MICROSECOND, MILLISECOND, SECOND, Behaviour, Rounding
from .test_history import thoroughly

KEEPS = ["oldest", "newest", "any"]


def read(history: History) -> History:
    history.wait(300)
    history.poll()
    assert not history.surplus()
    return history


@pytest.mark.parametrize("kept", KEEPS)
@pytest.mark.parametrize("other", [None, 5, 15])
def test_more_lines_of_an_instant_than_a_cap_above_the_limit_are_a_gap(
    kept: str, other: int | None
) -> None:
    history = History(Behaviour(keeps=kept, cap=1500), 0, 1000)
    for number in range(1600):
        history.server.write(10 * SECOND, f"{number}")
    if other is not None:
        history.server.write(other * SECOND, "of another second")
    read(history)
    assert history.told_gaps
    assert not history.unreported()


@pytest.mark.parametrize("mode", ["down", "up", "half"])
@pytest.mark.parametrize("kept", KEEPS)
def test_a_second_of_more_lines_than_a_cap_is_a_gap_once_the_log_has_others(
    kept: str, mode: str
) -> None:
    rounding = Rounding(SECOND, mode)
    history = History(Behaviour(keeps=kept, start=rounding, end=rounding, cap=450), 0, 300)
    for number in range(535):
        history.server.write(number * SECOND // 550, f"{number}")
    history.wait(60)
    history.poll()
    for _ in range(3):
        history.write(20, spread=20.0, late=0.0, unit=1)
        history.wait(2.0)
        history.poll(whole=False)
    history.end()
    assert history.gaps
    assert not history.unreported()


@pytest.mark.parametrize("unit", [1, SECOND])
@pytest.mark.parametrize("other", [5, 15])
def test_an_instant_that_a_larger_page_holds_is_no_gap_where_the_log_has_other_lines(
    other: int, unit: int
) -> None:
    history = History(Behaviour(shown=Rounding(unit)), 0, 1000)
    for number in range(1600):
        history.server.write(10 * SECOND + number * (unit > 1), f"{number}")
    history.server.write(other * SECOND, "of another second")
    read(history)
    assert not history.missing()
    assert not history.told_gaps


@pytest.mark.parametrize(("count", "limit"), [(60, 20), (100, 30), (900, 100)])
def test_one_burst_that_is_all_of_a_log_is_no_gap(count: int, limit: int) -> None:
    history = History(Behaviour(), 0, limit)
    for number in range(count):
        history.server.write(10 * SECOND, f"{number}")
    read(history)
    assert not history.missing()
    assert not history.told_gaps


@pytest.mark.parametrize("kept", KEEPS)
@pytest.mark.parametrize(("limit", "cap"), [(1, 2), (2, 3), (3, 7), (5, 7), (9, 9), (20, 12)])
def test_a_small_cap_loses_nothing_where_the_limit_is_small_too(
    limit: int, cap: int, kept: str
) -> None:
    history = History(Behaviour(keeps=kept, cap=cap), 0, limit)
    for number in range(180):
        history.server.write(10 * SECOND + number * 400 * MILLISECOND, f"{number}")
    read(history)
    assert not history.unreported()
    assert len(history.delivered) > 120


def test_lines_shown_coarsely_behind_a_cap_are_a_gap_as_soon_as_the_log_has_others() -> None:
    history = History(Behaviour(cap=100, shown=Rounding(SECOND)), 0, 10_000)
    for number in range(150):
        history.server.write(10 * SECOND + number * MILLISECOND, f"{number}")
    history.server.write(60 * SECOND, "of another second")
    read(history)
    assert not history.unreported()


@pytest.mark.parametrize(("limit", "cap"), [(3, 7), (5, 30), (100, 130), (100, 250)])
@thoroughly(10)
@given(st.sampled_from(KEEPS), st.integers(0, 2**32))
def test_a_cap_above_the_limit_loses_nothing_in_silence(
    limit: int, cap: int, kept: str, seed: int
) -> None:
    history = History(Behaviour(keeps=kept, cap=cap), seed, limit)
    for second in (1, 5, 9):
        history.server.write(second * SECOND, "of another second")
    choose = history.random.choice
    for _ in range(8):
        history.write(
            choose([1, cap // 2, cap, 2 * cap]),
            spread=choose([0.5, 1.0, 30.0]) if cap < 100 else choose([0.0, 0.01, 1.0, 30.0]),
            late=0.0,
            unit=choose([1, MICROSECOND, MILLISECOND]),
        )
        history.wait(choose([0.5, 1.0, 20.0]))
        history.poll(whole=choose([True, False]))
    history.end()
    assert not history.surplus()
    assert not history.unreported()


def followed(kept: str, ahead: dt.timedelta | None) -> History:
    """Follow a log that grows by most of a page a second."""
    history = History(Behaviour(keeps=kept), 0, 100)
    if ahead is not None:
        history.server.write(ahead // dt.timedelta(microseconds=1) * MICROSECOND, "ahead")
    for number in range(250):
        history.server.write(number * SECOND // 5, f"{number}")
    history.now = BASE + dt.timedelta(seconds=51)
    history.poll()
    for second in range(51, 61):
        for number in range(90):
            history.server.write(second * SECOND + number * 10 * MILLISECOND, f"{second} {number}")
        history.wait(1.0)
        history.poll(whole=False)
    return history


@pytest.mark.parametrize("kept", KEEPS)
@pytest.mark.parametrize("ahead", [dt.timedelta(days=1), dt.timedelta(days=365 * 7_000)])
def test_a_line_of_the_far_future_costs_a_handful_of_requests(
    kept: str, ahead: dt.timedelta
) -> None:
    history = followed(kept, ahead)
    assert not history.missing()
    assert history.requests <= followed(kept, None).requests + 5 * history.polls


@pytest.mark.filterwarnings("ignore::aioservices.LogGap")
async def test_a_larger_limit_that_is_refused_is_asked_for_once() -> None:
    server = DeploymentsServer()
    deployment = server.deploy()
    for second in range(4):
        deployment.write(*(f"{second} {n}" for n in range(60)), at=ago(10.0 - second))
    refused: list[int] = []

    def page(lines: list[object]) -> Answer | None:
        limit = int(server.queries[-1][2])
        if limit <= 20:
            return None
        refused.append(limit)
        return answer({"error": "invalid", "errorDescription": "limit", "code": 422}, status=422)

    server.page = page
    async with (
        hostile(server.behave) as listener,
        Services("key", base_url=listener.url) as services,
        services.tail_logs(1, **QUICK | {"limit": 20}) as tail,
    ):
        await take(tail, 80)
        assert tail.status.gap_count
        assert len(refused) == len(set(refused)) <= 5


@pytest.mark.parametrize("kept", KEEPS)
@pytest.mark.parametrize("seed", range(4))
def test_a_replica_that_is_behind_the_others_loses_nothing(kept: str, seed: int) -> None:
    history = History(Behaviour(keeps=kept, largest=50), seed, 50)
    server = history.server
    ask = server.ask

    def behind(request: PageRequest, now: dt.datetime) -> PageLines:
        seconds = history.random.choice([0, 0, 3])
        return ask(request, now - dt.timedelta(seconds=seconds))

    server.ask = behind  # type: ignore[method-assign]
    for _ in range(30):
        for number in range(40):
            at = int((history.now - BASE).total_seconds() * 1000) * MILLISECOND
            server.write(at - number * 20 * MILLISECOND, f"{number}", history.now)
        history.poll(whole=history.random.random() < 0.2)
        history.wait(1.0)
    server.ask = ask  # type: ignore[method-assign]
    history.end()
    assert not history.missing()
    assert not history.surplus()
