"""What checks of a deployment say about it, and when to check next."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices import NotFoundError, PermissionDeniedError, ServicesError
from aioservices.api.models import Deployment, DeploymentSummary
from aioservices.api.states import FINAL_STATES
from aioservices.fleet.progress import (
    Observation,
    Outcome,
    Progress,
    complete,
    is_newer,
    newest_since,
)
from aioservices.http.api_error import api_error
from tests.servers.raw import raw_response

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
FAILURE = ServicesError("no answer")

deployments = st.builds(
    DeploymentSummary,
    deployment_id=st.integers(1, 30),
    created_at=st.integers(0, 5).map(lambda hours: EPOCH + timedelta(hours=hours)),
)


def deployment(number: int = 7, state: str | None = None) -> DeploymentSummary:
    return DeploymentSummary(deployment_id=number, state=state)


def refusal(status: int) -> ServicesError:
    return api_error(raw_response(status))


class Wait:
    """A wait whose checks are made by the test, on a clock that it sets."""

    def __init__(self, *, timeout: float = 10.0, stay_up: float = 0.0) -> None:
        self.now = 0.0
        self.progress = Progress(
            now=0.0,
            due=0.0,
            timeout=timeout,
            stay_up=stay_up,
            poll_interval=1.0,
            longest_block=600.0,
        )

    def check(
        self,
        seen: DeploymentSummary | ServicesError,
        *,
        held_up: float = 0.0,
        takes: float = 0.0,
        newer: DeploymentSummary | None = None,
    ) -> Outcome | None:
        """Look when it is due, or so much later, and take so long."""
        begun_at = max(self.now, self.progress.due) + held_up
        self.now = begun_at + takes
        return self.progress.observe(Observation(begun_at, seen, newer), self.now)


def is_late(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.kind == "late"


@pytest.mark.parametrize("state", ["running", "Running", "sleeping", "not known"])
def test_a_deployment_that_runs_or_sleeps_is_up(state: str) -> None:
    assert Wait().check(deployment(state=state)) == Outcome("up")


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_a_deployment_that_ended_has_failed(state: str) -> None:
    assert Wait().check(deployment(state=state)) == Outcome("failed", "")


@pytest.mark.parametrize("state", [None, "pending", "queued"])
def test_a_deployment_that_may_yet_come_up_is_waited_for(state: str | None) -> None:
    assert Wait().check(deployment(state=state)) is None


def test_a_deployment_whose_service_shows_a_newer_one_has_failed() -> None:
    outcome = Wait().check(deployment(state="pending"), newer=deployment(8))
    assert outcome is not None
    assert outcome.kind == "failed"
    assert "deployment 8" in outcome.message


looks = st.lists(
    st.tuples(
        st.booleans(),  # whether it fails
        st.floats(0, 100),  # seconds by which it is held up
        st.floats(0, 100),  # ... and which it takes
    ),
    min_size=1,
    max_size=60,
)


@given(looks, st.floats(1, 50))
def test_nothing_is_late_before_a_look_that_began_after_its_time(
    history: list[tuple[bool, float, float]], timeout: float
) -> None:
    wait = Wait(timeout=timeout)
    used = 0.0
    for fails, held_up, takes in history:
        planned_at, due = wait.now, max(wait.now, wait.progress.due)
        outcome = wait.check(FAILURE if fails else deployment(), held_up=held_up, takes=takes)
        if not fails:
            used += due - planned_at
        if is_late(outcome):
            assert not fails
            assert used >= timeout - 1e-5
            break
        if outcome is not None:
            break
        assert used < timeout


@given(st.floats(0.01, 50), st.floats(0, 100), st.floats(0, 100))
def test_every_deployment_that_stays_pending_is_late_in_the_end(
    timeout: float, held_up: float, takes: float
) -> None:
    wait = Wait(timeout=timeout)
    for _ in range(200):
        if is_late(wait.check(deployment(), held_up=held_up, takes=takes)):
            return
    pytest.fail("it is waited for without end")


@given(st.floats(0.01, 50), st.floats(0, 100))
def test_what_cannot_be_seen_is_given_up_after_as_long_a_time(timeout: float, takes: float) -> None:
    wait = Wait(timeout=timeout)
    while (outcome := wait.check(FAILURE, takes=takes)) is None:
        assert wait.now < timeout
    assert outcome == Outcome("unseen", error=FAILURE)


def test_one_look_that_succeeds_ends_an_outage() -> None:
    wait = Wait(timeout=10.0)
    for _ in range(2):
        assert wait.check(FAILURE, takes=9.0) is None
        assert wait.check(deployment(), takes=9.0) is None


def test_what_the_rate_limit_refuses_uses_up_no_time() -> None:
    wait = Wait(timeout=10.0)
    for _ in range(5):
        assert wait.check(refusal(429), takes=100.0) is None
    assert wait.check(deployment(state="running")) == Outcome("up")


def test_a_rate_limit_that_refuses_everything_is_given_up_in_the_end() -> None:
    wait = Wait(timeout=10.0)
    error = refusal(429)
    while (outcome := wait.check(error)) is None:
        assert wait.now < 700.0
    assert outcome == Outcome("unseen", error=error)
    assert wait.now > 600.0


def test_checks_become_rarer_while_nothing_changes_and_frequent_when_something_does() -> None:
    wait = Wait(timeout=1000.0)
    waits: list[float] = []
    for state in ["pending"] * 20 + ["queued"]:
        wait.check(deployment(state=state))
        waits.append(wait.progress.due - wait.now)
    assert waits[0] == 1.0
    assert waits[-2] == 10.0
    assert waits[-1] == 1.0


def test_what_must_stay_up_is_looked_at_when_that_time_is_over() -> None:
    wait = Wait(stay_up=2.5)
    assert wait.check(deployment(state="running")) is None
    while (outcome := wait.check(deployment(state="running"))) is None:
        pass
    assert outcome == Outcome("up")
    assert wait.now == 2.5


def test_what_goes_down_again_must_stay_up_from_then_on() -> None:
    wait = Wait(stay_up=2.0, timeout=100.0)
    wait.check(deployment(state="running"))
    wait.check(deployment(state="pending"))
    came_back_at = wait.progress.due
    while (outcome := wait.check(deployment(state="running"))) is None:
        pass
    assert outcome == Outcome("up")
    assert wait.now == came_back_at + 2.0


def test_what_crashes_while_it_must_stay_up_has_failed() -> None:
    wait = Wait(stay_up=60.0)
    assert wait.check(deployment(state="running")) is None
    assert wait.check(deployment(state="failed")) == Outcome("failed", "")


def test_a_404_is_believed_when_it_lasts() -> None:
    wait = Wait(timeout=1000.0)
    missing = refusal(404)
    assert isinstance(missing, NotFoundError)
    while (outcome := wait.check(missing)) is None:
        pass
    assert outcome == Outcome("gone", error=missing)
    assert 4.9 < wait.now < 6.0


def test_a_404_between_two_checks_that_show_it_is_forgotten() -> None:
    wait = Wait(timeout=1000.0)
    for _ in range(20):
        assert wait.check(refusal(404)) is None
        assert wait.check(deployment(state="pending")) is None


@pytest.mark.parametrize("status", [401, 403])
def test_what_may_not_be_seen_is_reported_at_once(status: int) -> None:
    error = refusal(status)
    assert isinstance(error, PermissionDeniedError) is (status == 403)
    assert Wait().check(error) == Outcome("refused", error=error)


def test_what_was_created_later_is_newer_whatever_its_number() -> None:
    old = DeploymentSummary(deployment_id=9, created_at=EPOCH)
    new = DeploymentSummary(deployment_id=8, created_at=EPOCH + timedelta(milliseconds=1))
    assert is_newer(new, old)
    assert not is_newer(old, new)


def test_without_times_the_greater_number_is_newer() -> None:
    assert is_newer(deployment(9), deployment(8))
    assert not is_newer(deployment(8), deployment(8))


@given(st.lists(deployments, unique_by=lambda each: each.deployment_id), st.data())
def test_a_deployment_made_meanwhile_is_found_in_any_order(
    listed: list[DeploymentSummary], data: st.DataObject
) -> None:
    made = data.draw(deployments.filter(lambda d: all(is_newer(d, other) for other in listed)))
    before = max(listed, key=lambda d: (d.created_at, d.deployment_id), default=None)
    assert newest_since(before, listed) is None
    assert newest_since(before, data.draw(st.permutations([*listed, made]))) is made


@given(st.lists(deployments))
def test_any_deployment_is_news_of_a_service_that_had_none(listed: list[DeploymentSummary]) -> None:
    assert (newest_since(None, listed) is not None) == bool(listed)


def test_what_a_listing_shows_is_completed_by_the_first_answer() -> None:
    first = Deployment(deployment_id=7, state="pending", display_url="https://x.example/?signed")
    later = complete(deployment(7, "running"), first)
    assert (later.state, later.display_url) == ("running", first.display_url)
    assert complete(first) is first
