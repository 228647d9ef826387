"""Pacing: what may be sent when, against model servers."""

import math
import time
from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioservices.client import Services
from aioservices.http.ratelimit import RateLimit, RateLimiter
from tests.servers.hostile import Request, Writer, answer, hostile
from tests.servers.rate_limited import Server, Simulation, Traffic

WINDOWS = 20

limits = st.floats(1, 3).map(lambda exponent: int(10**exponent))
seconds = st.floats(0, math.log10(300)).map(lambda exponent: round(10**exponent, 1))
fixed = st.sampled_from(["from the first request", "by the clock"])
latencies = st.sampled_from([(0.001, 0.002), (0.005, 0.05), (0.01, 0.5)])
ours = st.builds(
    Traffic,
    st.sampled_from([1, 5, 40, 100]),
    st.sampled_from([0, 0.05, 0.1, 0.15]),
    latency=latencies,
)
shared = st.builds(
    lambda traffic, others: replace(traffic, others=others), ours, st.sampled_from([0.1, 0.3])
)
servers = st.builds(Server, fixed | st.just("sliding"), limits, seconds, phase=st.floats(0, 300))
few = settings(max_examples=25)


def ran(server: Server, traffic: Traffic, seed: int) -> Simulation:
    return Simulation(server, traffic, seed).run(WINDOWS / 2 * server.window)


@few
@given(servers, ours, st.integers(0, 2**32))
def test_background_calls_are_hardly_ever_refused(
    server: Server, traffic: Traffic, seed: int
) -> None:
    simulation = ran(server, traffic, seed)
    assert simulation.background_refused <= 1 + 0.02 * simulation.sent


@few
@given(servers, shared, st.integers(0, 2**32))
def test_background_calls_are_seldom_refused_where_others_spend_from_the_same_limit(
    server: Server, traffic: Traffic, seed: int
) -> None:
    server.limit += 40  # of ten, what others take at random cannot be foreseen
    simulation = ran(server, traffic, seed)
    assert simulation.background_refused <= 2 + 0.02 * simulation.sent


@few
@given(servers, ours | shared, st.integers(0, 2**32))
def test_an_ordinary_call_goes_at_once_while_the_server_has_anything_left(
    server: Server, traffic: Traffic, seed: int
) -> None:
    simulation = ran(server, traffic, seed)
    round_trip = 2 * traffic.latency[1]
    for waited, left, was_quiet in simulation.held_up:
        assert waited <= 2 * round_trip or left <= 0 or was_quiet


@few
@given(servers, ours | shared, st.integers(0, 2**32))
def test_nobody_sends_between_a_429_and_its_retry_after(
    server: Server, traffic: Traffic, seed: int
) -> None:
    simulation = ran(server, traffic, seed)
    for begin, end in simulation.quiet:
        assert not any(begin < sent < end for sent in simulation.sends)


@few
@given(st.builds(Server, fixed, limits, seconds), st.sampled_from([0, 40]), st.integers(0, 2**32))
def test_ordinary_calls_beyond_the_limit_are_refused_seldom_and_served_all_the_same(
    server: Server, background: int, seed: int
) -> None:
    traffic = Traffic(background, ordinary=1.5, latency=(0.001, 0.002))
    simulation = ran(server, traffic, seed)
    # The first time with all that were under way; then one call finds the end of each window.
    assert len(simulation.refusals) <= 40 + WINDOWS
    assert simulation.sent - len(simulation.refusals) >= 0.4 * server.limit * WINDOWS / 2


@few
@given(fixed, limits, seconds, st.integers(0, 2**32), st.data())
def test_background_calls_use_what_ordinary_ones_leave_once_the_window_is_known(
    kind: str, limit: int, window: float, seed: int, data: st.DataObject
) -> None:
    server = Server(kind, limit, window, phase=data.draw(st.floats(0, 300)))  # type: ignore[arg-type]
    traffic = Traffic(
        40, data.draw(st.sampled_from([0, 0.1])), data.draw(st.sampled_from([0, 0.1]))
    )
    end = max(WINDOWS * window, 60)
    if limit / window * end > 20_000:
        end = WINDOWS * window
    simulation = Simulation(server, traffic, seed).run(end)
    served = sum(time > end / 2 for time in simulation.background_served) / (end / 2)
    most_of_forty_callers = 40 / (2 * traffic.latency[1])
    share = limit / window * (0.8 - traffic.ordinary - traffic.others)
    assert served >= 0.5 * min(share, most_of_forty_callers)


@few
@given(st.integers(20, 1000), seconds, st.integers(0, 2**32))
def test_background_calls_continue_where_there_are_no_fixed_windows(
    limit: int, window: float, seed: int
) -> None:
    server = Server("sliding", limit, window)
    simulation = Simulation(server, Traffic(40), seed).run(WINDOWS * window)
    late = sum(time > WINDOWS * window / 2 for time in simulation.background_served)
    assert late >= 0.05 * limit * WINDOWS / 2


@given(st.integers(0, 2**32), st.sampled_from([0, 0.05, 0.1, 0.15]))
@few
def test_forty_background_callers_and_ordinary_calls_share_100_requests_in_5_seconds(
    seed: int, ordinary: float
) -> None:
    server = Server("from the first request", 100, 5.0)
    simulation = Simulation(server, Traffic(40, ordinary), seed).run(60)
    assert len(simulation.refusals) < 0.02 * simulation.sent
    assert all(waited == 0 for waited, _, _ in simulation.held_up)
    assert len(simulation.background_served) > 60 / 5 * 40


class Steps:
    """What may befall a limiter, in any order, with whatever a server may say."""

    def __init__(self, slots: int) -> None:
        self.limiter = RateLimiter(slots)
        self.now = 0.0
        self.under_way: list[float] = []

    def send(self, background: bool) -> None:
        if self.limiter.delay(self.now, background=background) <= 0:
            self.limiter.record_sent(self.now, background=background)
            self.under_way.append(self.now)

    def end(self, which: int, how: Callable[[float], None]) -> None:
        if self.under_way:
            sent_at = self.under_way.pop(which % len(self.under_way))
            self.limiter.record_end()
            how(sent_at)


@settings(max_examples=60)
@given(st.integers(1, 20), st.data())
def test_somebody_is_admitted_in_the_end_whatever_the_server_says(
    slots: int, data: st.DataObject
) -> None:
    steps = Steps(slots)
    for _ in range(data.draw(st.integers(0, 60))):
        steps.now += data.draw(st.sampled_from([0.0, 0.01, 1.0, 400.0]))
        what = data.draw(st.sampled_from(["send", "send", "serve", "refuse", "lose"]))
        which = data.draw(st.integers(0, 20))
        figure = data.draw(
            st.none() | st.builds(RateLimit, st.integers(0, 1000), st.integers(-1, 1000))
        )
        quiet = data.draw(st.sampled_from([0.0, 0.5, 30.0]))
        if what == "send":
            steps.send(data.draw(st.booleans()))
        elif what == "serve":
            steps.end(which, lambda at, f=figure: steps.limiter.observe_answer(at, steps.now, f))  # type: ignore[misc]
        elif what == "refuse":
            steps.end(which, lambda at, q=quiet: steps.limiter.observe_refusal(at, steps.now, q))  # type: ignore[misc]
        else:
            steps.end(which, lambda at: None)
        assert steps.limiter.in_flight <= slots
    while steps.under_way:
        steps.end(0, lambda at: None)
    quiet = max(0.0, steps.limiter.blocked_until - steps.now)
    assert steps.limiter.delay(steps.now) == quiet
    for _ in range(3):  # the first answer may be that the window's end was awaited
        steps.now += min(601.0, steps.limiter.delay(steps.now, background=True))
    assert steps.limiter.delay(steps.now, background=True) == 0


def test_after_a_429_one_call_finds_out_whether_the_server_serves_again() -> None:
    limiter = RateLimiter(10)
    limiter.record_sent(0.0)
    limiter.record_end()
    limiter.observe_refusal(0.0, 1.0, retry_after=30.0)
    assert limiter.delay(1.0) == limiter.delay(1.0, background=True) == 30.0
    assert limiter.delay(31.0) == 0
    limiter.record_sent(31.0)
    assert limiter.delay(31.1) > 0
    limiter.record_end()
    limiter.observe_answer(31.0, 31.2, None)
    assert limiter.delay(31.2) == 0


def test_an_answer_from_before_a_429_does_not_end_the_caution_after_it() -> None:
    limiter = RateLimiter(10)
    for _ in range(3):
        limiter.record_sent(0.0)
    limiter.record_end()
    limiter.observe_refusal(0.0, 1.0, retry_after=5.0)
    limiter.record_end()
    limiter.observe_answer(0.0, 1.1, RateLimit(100, 99))
    limiter.record_sent(6.0)
    assert limiter.delay(6.0) > 0


def test_the_shorter_of_two_quiet_times_does_not_cut_the_longer_one() -> None:
    limiter = RateLimiter(10)
    for quiet in (30.0, 1.0):
        limiter.record_sent(0.0)
        limiter.record_end()
        limiter.observe_refusal(0.0, 0.0, quiet)
    assert limiter.delay(0.0) == 30.0


def test_a_stalled_connection_does_not_hold_up_the_others_for_long() -> None:
    limiter = RateLimiter(10)
    for now in (0.0, 0.01):
        limiter.record_sent(now)
    limiter.record_end()
    limiter.observe_answer(0.0, 0.1, RateLimit(100, 0))
    assert 0 < limiter.delay(0.1) < 10


def test_an_answer_without_a_rate_limit_leaves_what_is_known() -> None:
    limiter = RateLimiter(10)
    limiter.record_sent(0.0)
    limiter.observe_answer(0.0, 0.1, RateLimit(100, 7))
    limiter.observe_answer(0.0, 0.2, None)
    assert limiter.rate_limit == RateLimit(100, 7)


def test_background_calls_leave_connections_to_ordinary_ones() -> None:
    limiter = RateLimiter(10)
    limiter.record_sent(0.0)
    limiter.record_end()
    limiter.observe_answer(0.0, 0.0, None)
    for _ in range(8):
        assert limiter.delay(0.0, background=True) == 0
        limiter.record_sent(0.0, background=True)
    assert limiter.delay(0.0, background=True) == math.inf
    assert limiter.delay(0.0) == 0


def test_background_calls_without_a_rate_limit_are_not_paced() -> None:
    limiter = RateLimiter(10)
    for now in range(5):
        assert limiter.delay(now, background=True) == 0
        limiter.record_sent(now, background=True)
        limiter.record_end()
        limiter.observe_answer(now, now, None)


def test_a_background_call_leaves_to_others_their_part_of_what_is_spare() -> None:
    def delay(sharers: int) -> float:
        limiter = RateLimiter(10)
        limiter.sharers = sharers
        for now, left in ((0, 1000), (100, 500), (300, 100), (301, 999), (601, 999), (602, 700)):
            limiter.record_sent(now, background=True)
            limiter.record_end()
            limiter.observe_answer(now, now, RateLimit(1000, left))
        return limiter.delay(602, background=True)

    assert delay(1) > 0
    assert delay(4) == pytest.approx(4 * delay(1), rel=0.05)


# -- over real sockets -------------------------------------------------------------------------


async def test_background_and_ordinary_calls_of_a_session_share_a_servers_limit() -> None:
    model = Server("from the first request", 50, 1.0)
    refused = 0

    async def serve(request: Request, writer: Writer) -> None:
        nonlocal refused
        said = model.ask(time.monotonic())
        if isinstance(said, RateLimit):
            headers = {
                "X-RateLimit-Limit": str(said.limit),
                "X-RateLimit-Remaining": str(said.remaining),
            }
            await answer({"id": 1}, headers=headers)(request, writer)
        else:
            refused += 1
            await answer(b"", status=429, headers={"Retry-After": str(said)})(request, writer)

    async def call_again_and_again(services: Services) -> None:
        while True:
            await services.get(1)

    async with hostile(serve) as server, Services("key", base_url=server.url) as services:
        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(call_again_and_again, services.with_options(background=True))
            for _ in range(25):
                await services.get(2)
                await anyio.sleep(0.1)
            group.cancel_scope.cancel()
        assert refused <= 1 + 0.02 * len(server.requests)
        assert len(server.requests) >= 25 + 40
