"""How many lines are asked for where large pages fail. Pure."""

from hypothesis import given
from hypothesis import strategies as st

from aioservices.tail.pages import PageSize


def ask(size: PageSize, capacity: int) -> bool:
    """Ask a server for a page of a long log; it fails where the page is larger than it can give."""
    asked = size.current
    if asked > capacity:
        size.failed(asked)
        return False
    size.served(asked)
    return True


@given(limit=st.integers(1, 10_000), capacity=st.integers(1, 10_000))
def test_a_page_that_can_be_had_is_asked_for_soon(limit: int, capacity: int) -> None:
    size = PageSize(limit)
    failures = 0
    while not ask(size, capacity):
        failures += 1
    assert failures <= limit.bit_length()
    assert size.current >= min(limit, capacity) // 2


@given(limit=st.integers(1, 10_000), capacity=st.integers(1, 10_000))
def test_few_pages_fail_in_the_long_run(limit: int, capacity: int) -> None:
    size = PageSize(limit)
    for _ in range(300):
        ask(size, capacity)
    failures = sum(not ask(size, capacity) for _ in range(300))
    assert failures <= 300 / 32


@given(limit=st.integers(1, 10_000), capacity=st.integers(2, 10_000))
def test_the_size_comes_near_to_what_can_be_had(limit: int, capacity: int) -> None:
    size = PageSize(limit)
    for _ in range(1000):
        ask(size, capacity)
    assert size.current >= min(limit, capacity) // 2


@given(limit=st.integers(1, 10_000))
def test_an_outage_does_not_keep_pages_small(limit: int) -> None:
    size = PageSize(limit)
    for _ in range(100):
        ask(size, 0)
    assert size.current == 1
    for _ in range(limit.bit_length() + 1):
        ask(size, limit)
    assert size.current == limit


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 200)), max_size=60), st.integers(1, 100))
def test_the_size_stays_from_one_to_the_limit(answers: list[tuple[bool, int]], limit: int) -> None:
    size = PageSize(limit)
    for is_served, lines in answers:
        if is_served:
            size.served(lines)
        else:
            size.failed(size.current)
        assert 1 <= size.current <= limit


def test_a_request_that_was_under_way_with_a_failed_one_does_not_halve_the_size_again() -> None:
    size = PageSize(1000)
    size.failed(1000)
    size.failed(1000)
    assert size.current == 500


def test_a_short_page_does_not_make_the_next_one_larger() -> None:
    size = PageSize(1000)
    size.failed(1000)
    for _ in range(100):
        size.served(10)
    assert size.current == 500


def test_pages_that_were_planned_not_to_be_full_let_the_size_grow_again() -> None:
    size = PageSize(1000)
    while size.current > 8:
        size.failed(size.current, is_quick=True)
    for _ in range(100):
        size.served(int(0.9 * size.current))
    assert size.current == 1000
