"""Whether a deploy that was not answered may be asked for again."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.api.models import DeploymentSummary
from aioservices.errors import (
    ConnectionFailedError,
    RequestError,
    RequestTimeoutError,
    ResponseDecodeError,
)
from aioservices.fleet.outcome import (
    CheckSchedule,
    CircuitBreaker,
    has_acted,
    may_have_acted,
    newest_after,
)
from aioservices.http.api_error import api_error
from tests.servers.raw import raw_response

METHOD, PATH = "POST", "services/1/deployments"


def answered(status: int) -> RequestError:
    return api_error(raw_response(status, method=METHOD, path=PATH))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 503])
def test_a_refusal_has_made_no_deployment(status: int) -> None:
    assert not may_have_acted(answered(status))


@pytest.mark.parametrize("status", [302, 408, 500, 502, 504, 520])
def test_an_answer_of_somebody_in_between_leaves_it_open(status: int) -> None:
    assert may_have_acted(answered(status))
    assert not has_acted(answered(status))


@pytest.mark.parametrize("kind", [ConnectionFailedError, RequestTimeoutError])
@pytest.mark.parametrize("sent", [False, True])
def test_a_lost_connection_leaves_it_open_if_anything_was_sent(
    kind: type[ConnectionFailedError], *, sent: bool
) -> None:
    error = kind("lost", method=METHOD, path=PATH, attempts=1, sent=sent)
    assert may_have_acted(error) is sent
    assert not has_acted(error)


def test_a_success_that_cannot_be_read_has_made_one() -> None:
    error = ResponseDecodeError("cut", method=METHOD, path=PATH, attempts=1, status=201)
    assert may_have_acted(error)
    assert has_acted(error)


def made(number: int, hour: int | None) -> DeploymentSummary:
    created_at = None if hour is None else datetime(2026, 1, 1, hour, tzinfo=UTC)
    return DeploymentSummary(deployment_id=number, created_at=created_at)


@given(st.lists(st.tuples(st.integers(1, 20), st.none() | st.integers(0, 23))))
def test_what_was_made_after_another_has_a_higher_number_or_a_later_time(
    listed: list[tuple[int, int | None]],
) -> None:
    other = made(10, 12)
    newest = newest_after(other, [made(*each) for each in listed])
    later = {(n, hour) for n, hour in listed if n > 10 or (hour is not None and hour > 12)}
    if newest is None:
        assert not later
    else:
        hour = None if newest.created_at is None else newest.created_at.hour
        assert (newest.deployment_id, hour) in later


@given(st.floats(0, 3600))
def test_checks_begin_at_once_become_rarer_and_end_when_the_time_is_over(
    settle: float,
) -> None:
    schedule = CheckSchedule(100.0, settle)
    begun: list[float] = []
    while True:
        begun.append(schedule.due)
        if schedule.is_last(schedule.due):
            break
    assert begun[0] == 100.0
    assert begun[-1] == pytest.approx(100.0 + settle)
    waits = [later - earlier for earlier, later in pairwise(begun)]
    assert waits == pytest.approx(sorted(waits))
    assert len(begun) <= 5


@given(st.lists(st.floats(0, 1), max_size=50))
def test_checks_that_come_early_do_not_bring_the_end_forward(parts: list[float]) -> None:
    schedule = CheckSchedule(0.0, 10.0)
    now = 0.0
    for part in parts:
        now += part * (schedule.due - now)
        if schedule.is_last(now):
            assert now == pytest.approx(10.0)
            break


def decisions(breaker: CircuitBreaker, ids: range) -> list[bool | None]:
    return [breaker.may_repeat(each) for each in ids]


def failing(count: int) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(count):
        breaker.fail()
    return breaker


def test_a_few_lost_answers_are_no_outage() -> None:
    breaker = failing(19)
    assert not breaker.is_open
    assert decisions(breaker, range(19)) == [True] * 19


def test_in_an_outage_only_a_few_are_repeated() -> None:
    breaker = failing(100)
    assert breaker.is_open
    assert decisions(breaker, range(100)) == [True] * 5 + [None] * 95
    assert decisions(breaker, range(5)) == [True] * 5  # a probe continues
    for each in range(5):
        breaker.fail()
        breaker.give_up(each)
    assert decisions(breaker, range(5, 100)) == [False] * 95


def test_one_success_ends_an_outage() -> None:
    breaker = failing(100)
    assert decisions(breaker, range(10)) == [True] * 5 + [None] * 5
    breaker.succeed()
    assert not breaker.is_open
    assert decisions(breaker, range(100)) == [True] * 100
