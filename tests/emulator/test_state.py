"""Deployments over time."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aioservices.emulator.deployments import Deployment, Lifecycle
from aioservices.emulator.schemas import NewAttributes
from aioservices.emulator.state import APIError, Program, Service, State

SECOND = 10**9
STATES = ("pending", "running", "sleeping", "terminated", "failed", "never-seen")


class Platform:
    """A state with its time, and what it orders of programs."""

    def __init__(self, lifecycle: Lifecycle | None = None) -> None:
        self.now = 1_800_000_000 * SECOND
        self.running: set[int] = set()
        self.state = State(
            lifecycle=lifecycle or Lifecycle(), on_start=self.start, on_stop=self.stop
        )

    def start(self, _service: Service, deployment: Deployment) -> None:
        assert deployment.id not in self.running
        self.running.add(deployment.id)

    def stop(self, deployment: Deployment) -> None:
        self.running.discard(deployment.id)

    def create(self, program: Program | None = None) -> Service:
        return self.state.create(self.now, NewAttributes(), program=program)

    def deploy(self, service: Service) -> Deployment:
        return self.state.deploy(self.now, service)


def test_a_deployment_goes_through_its_states_by_the_clock() -> None:
    platform = Platform(Lifecycle(null_state_for=1.0, pending_for=2.0, running_for=5.0))
    deployment = platform.deploy(platform.create())
    states = [deployment.phase(platform.now + n * SECOND).state for n in range(9)]
    assert states == [None, "pending"] + ["running"] * 5 + ["terminated"] * 2


def test_a_deployment_that_runs_at_once_is_in_no_other_state_before() -> None:
    platform = Platform(Lifecycle(null_state_for=1.0, pending_for=0.0))
    deployment = platform.deploy(platform.create())
    assert deployment.phase(platform.now).state == "running"


def test_a_state_that_was_set_stays() -> None:
    platform = Platform(Lifecycle(pending_for=2.0, running_for=5.0))
    deployment = platform.deploy(platform.create())
    platform.state.move(platform.now + SECOND, deployment, "sleeping", "zzz")
    assert deployment.phase(platform.now + 100 * SECOND)[1:] == ("sleeping", "zzz")
    assert deployment.phase(platform.now).state is None


def test_what_has_ended_keeps_its_reason_when_it_is_replaced() -> None:
    platform = Platform()
    service = platform.create()
    first = platform.deploy(service)
    platform.state.move(platform.now, first, "failed", "out of memory")
    platform.deploy(service)
    assert first.phase(platform.now)[1:] == ("failed", "out of memory")


def test_a_program_is_pending_until_something_else_is_said() -> None:
    platform = Platform(Lifecycle(pending_for=0.0, running_for=1.0))
    deployment = platform.deploy(platform.create(Program(["true"])))
    assert deployment.phase(platform.now + 100 * SECOND).state == "pending"
    assert platform.running == {deployment.id}


def test_the_environment_of_a_program_is_not_shown() -> None:
    assert "hunter2" not in repr(Program(["true"], {"PASSWORD": "hunter2"}))


class Deployments(RuleBasedStateMachine):
    """Whatever is done, a service has one deployment at most that has not ended."""

    def __init__(self) -> None:
        super().__init__()
        self.platform = Platform(Lifecycle(pending_for=1.0, running_for=4.0))
        self.made: list[int] = []

    services = st.integers(0, 3)

    def some(self, number: int) -> Service:
        services = list(self.platform.state.services.values())
        return services[number % len(services)]

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.platform.now += int(seconds * SECOND)

    @rule(is_program=st.booleans())
    def create(self, is_program: bool) -> None:
        self.platform.create(Program(["true"]) if is_program else None)

    @precondition(lambda self: self.platform.state.services)
    @rule(number=services)
    def deploy(self, number: int) -> None:
        service = self.some(number)
        if service.details.archived:
            with pytest.raises(APIError):
                self.platform.deploy(service)
            return
        deployment = self.platform.deploy(service)
        assert deployment.id not in self.made
        assert service.current is deployment
        self.made.append(deployment.id)

    @precondition(lambda self: self.platform.state.services)
    @rule(number=services, state=st.sampled_from(STATES))
    def set_state(self, number: int, state: str) -> None:
        current = self.some(number).current
        if current is not None:
            self.platform.state.move(self.platform.now, current, state, None)
            assert current.phase(self.platform.now).state == state

    @precondition(lambda self: self.platform.state.services)
    @rule(number=services, which=st.integers(0, 9))
    def delete_deployment(self, number: int, which: int) -> None:
        service = self.some(number)
        if service.deployments:
            chosen = list(service.deployments)[which % len(service.deployments)]
            self.platform.state.delete_deployment(self.platform.now, service, chosen)
            with pytest.raises(APIError):
                service.deployment(chosen)

    @precondition(lambda self: self.platform.state.services)
    @rule(number=services, archived=st.booleans())
    def archive(self, number: int, archived: bool) -> None:
        self.platform.state.archive(self.platform.now, self.some(number), archived=archived)

    @precondition(lambda self: self.platform.state.services)
    @rule(number=services)
    def remove(self, number: int) -> None:
        self.platform.state.remove(self.platform.now, self.some(number).details.id)

    @invariant()
    def only_the_current_deployment_lives(self) -> None:
        for service in self.platform.state.services.values():
            living = [
                deployment
                for deployment in service.deployments.values()
                if not deployment.has_ended(self.platform.now)
            ]
            assert living in ([], [service.current])

    @invariant()
    def only_programs_of_current_deployments_run(self) -> None:
        current = {
            service.current.id
            for service in self.platform.state.services.values()
            if service.current is not None and service.program is not None
        }
        assert self.platform.running <= current

    @invariant()
    def no_deployment_was_changed_before_it_was_made(self) -> None:
        for service in self.platform.state.services.values():
            for deployment in service.deployments.values():
                view = deployment.view(self.platform.now)
                assert view.created_at <= view.updated_at


TestDeployments = Deployments.TestCase
TestDeployments.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
