"""What a sight of a service's deployments says about one of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.api.models import Deployment, DeploymentSummary
from aioservices.fleet.progress import Progress, complete, is_newer, newest_since, progress_of

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

deployments = st.builds(
    DeploymentSummary,
    deployment_id=st.integers(1, 30),
    created_at=st.integers(0, 5).map(lambda hours: EPOCH + timedelta(hours=hours)),
)


def deployment(number: int, state: str | None = None) -> DeploymentSummary:
    return DeploymentSummary(deployment_id=number, state=state)


@pytest.mark.parametrize(
    ("state", "progress"),
    [
        ("pending", Progress.PENDING),
        ("running", Progress.RUNNING),
        ("Running", Progress.RUNNING),
        ("sleeping", Progress.RUNNING),
        ("terminated", Progress.ENDED),
        ("failed", Progress.ENDED),
        ("a state nobody has heard of", Progress.PENDING),
        (None, Progress.PENDING),
    ],
)
def test_each_state_means_something(state: str | None, progress: Progress) -> None:
    assert progress_of(7, deployment(7, state)) is progress


@pytest.mark.parametrize("shown", [None, deployment(8, "running")])
def test_a_service_that_shows_another_deployment_says_nothing(
    shown: DeploymentSummary | None,
) -> None:
    assert progress_of(7, shown) is Progress.UNSEEN


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


def test_a_sight_in_a_listing_is_completed_by_the_first_answer() -> None:
    first = Deployment(deployment_id=7, state="pending", display_url="https://x.example/?signed")
    later = complete(deployment(7, "running"), first)
    assert (later.state, later.display_url) == ("running", first.display_url)
    assert complete(first) is first
