"""May a request be repeated, and when."""

import datetime as dt
import email.utils
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.http.retry import (
    RetryPolicy,
    backoff_delays,
    may_repeat,
    next_delay,
    parse_retry_after,
)

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)

policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 20),
    max_elapsed=st.floats(0, 1e4),
    base_delay=st.floats(0, 10),
    max_delay=st.floats(0, 100),
)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_request_that_can_be_made_twice_is_repeated_after_a_transient_status(
    method: str, status: int
) -> None:
    assert may_repeat(method, status=status)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_request_that_acts_is_repeated_only_where_the_server_cannot_have_acted(
    method: str,
) -> None:
    assert {status for status in range(300, 600) if may_repeat(method, status=status)} == {429, 503}
    assert may_repeat(method, sent=False)
    assert not may_repeat(method, sent=True)


@given(st.sampled_from(["GET", "PUT", "DELETE", "POST", "PATCH"]), st.integers(300, 499))
def test_what_is_the_callers_fault_is_not_repeated(method: str, status: int) -> None:
    assert may_repeat(method, status=status) == (status == 429)


@given(
    policies,
    st.integers(1, 30),
    st.floats(0, 2e4),
    st.floats(0, 100),
    st.none() | st.floats(0, 1e4),
)
def test_the_next_attempt_keeps_every_bound(
    policy: RetryPolicy, attempts: int, elapsed: float, jittered: float, retry_after: float | None
) -> None:
    delay = next_delay(
        policy, attempts=attempts, elapsed=elapsed, jittered=jittered, retry_after=retry_after
    )
    wanted = max(jittered, retry_after or 0)
    if delay is None:
        assert attempts >= policy.max_attempts or elapsed + wanted > policy.max_elapsed
    else:
        assert attempts < policy.max_attempts
        assert delay == wanted
        assert elapsed + delay <= policy.max_elapsed


@given(st.floats(0, 10), st.floats(0, 100))
def test_waits_stay_below_a_ceiling_that_doubles(base: float, maximum: float) -> None:
    delays = itertools.islice(backoff_delays(base, maximum), 12)
    for n, delay in enumerate(delays):
        assert 0 <= delay <= min(maximum, base * 2**n) + 1e-9


def test_waits_are_spread_over_the_whole_range() -> None:
    firsts = [next(backoff_delays(1.0, 60.0)) for _ in range(2000)]
    assert min(firsts) < 0.1
    assert max(firsts) > 0.9


def test_a_base_of_zero_waits_never_however_often() -> None:
    assert set(itertools.islice(backoff_delays(0, 60), 5000)) == {0.0}


@given(st.integers(0, 10**6))
def test_retry_after_is_read_in_seconds(seconds: int) -> None:
    assert parse_retry_after(str(seconds), now=NOW) == seconds


@given(st.integers(-(10**6), 10**6))
def test_retry_after_is_read_as_a_date(seconds: int) -> None:
    date = email.utils.format_datetime(NOW + dt.timedelta(seconds=seconds), usegmt=True)
    assert parse_retry_after(date, now=NOW) == max(0, seconds)


@given(st.text())
def test_any_retry_after_gives_a_number_or_nothing(value: str) -> None:
    seconds = parse_retry_after(value, now=NOW)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@pytest.mark.parametrize("value", [None, "", "soon", "nan", "inf", "-inf"])
def test_a_retry_after_without_sense_counts_as_none(value: str | None) -> None:
    assert parse_retry_after(value, now=NOW) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_elapsed": -1.0},
        {"base_delay": math.nan},
        {"max_delay": -0.1},
    ],
)
def test_a_policy_without_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"max_attempts": 2.5}, {"max_attempts": True}, {"base_delay": "1"}]
)
def test_a_policy_of_the_wrong_type_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]
