"""Whether a deploy that was not answered may be asked for again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.errors import (
    ConnectionFailedError,
    RequestError,
    RequestTimeoutError,
    ResponseDecodeError,
    api_error,
)
from aioservices.fleet.outcome import has_acted, look_delays, may_have_acted

METHOD, PATH = "POST", "services/1/deployments"


def answered(status: int) -> RequestError:
    return api_error(status=status, method=METHOD, path=PATH, attempts=1, headers={}, body=b"")


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


@given(st.floats(0, 3600))
def test_looks_begin_at_once_become_rarer_and_fill_the_time(settle: float) -> None:
    delays = list(look_delays(settle))
    assert delays[0] == 0
    assert len(delays) > 2
    assert delays == sorted(delays)
    assert sum(delays) == pytest.approx(settle)
