"""What the states of a deployment mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.api.states import (
    FINAL_STATES,
    SLEEPING,
    UnknownStates,
    is_final,
    is_known,
    is_running,
)


@pytest.mark.parametrize("state", ["running", "Running", SLEEPING])
def test_a_deployment_that_runs_or_sleeps_is_up(state: str) -> None:
    assert is_running(state)
    assert not is_final(state)


@pytest.mark.parametrize("state", [*sorted(FINAL_STATES), "Failed"])
def test_a_deployment_that_ended_is_final_however_it_ended(state: str) -> None:
    assert is_final(state)
    assert not is_running(state)


@pytest.mark.parametrize("state", [None, "", "pending", "queued"])
def test_a_deployment_that_has_not_started_is_neither(state: str | None) -> None:
    assert is_known(state)
    assert not is_final(state)
    assert not is_running(state)


@given(st.text())
def test_a_state_that_is_not_known_counts_as_running(state: str) -> None:
    if not is_known(state):
        assert is_running(state)
        assert not is_final(state)
        assert state.lower() not in FINAL_STATES


def test_an_unknown_state_is_new_once() -> None:
    states = UnknownStates()
    assert [states.is_new(each) for each in ("odd", "odd", "other", "running", None)] == [
        True,
        False,
        True,
        False,
        False,
    ]
