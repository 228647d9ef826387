"""The labels before the lines of services."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aioservices.cli import labels as labels_module
from aioservices.cli.labels import Difference, Labels, shortened

REGIONS = ["eu", "us", "ap"]
NAMES = st.text(st.sampled_from("ab-…( )1日"), max_size=12)


@given(st.dictionaries(st.integers(1, 9), NAMES), st.integers(3, 12) | st.none(), st.booleans())
def test_no_two_services_have_the_same_label(
    services: dict[int, str], widest: int | None, expected: bool
) -> None:
    labels = Labels(widest=widest)
    if expected:
        labels.expect(services)
    made = [labels.label(service_id, name) for service_id, name in services.items()]
    assert len(set(made)) == len(made)
    # They stay the same, and none is wider than the column.
    assert made == [labels.label(service_id, name) for service_id, name in services.items()]
    assert all(cell_len(label) <= labels.width for label in made)


@given(NAMES, st.integers(1, 30), st.integers(0, 12), st.integers(0, 12))
def test_a_shortened_text_fits_and_keeps_its_part(
    text: str, width: int, start: int, length: int
) -> None:
    kept = text[start : start + length]
    made = shortened(text, width, start=start, end=start + length)
    assert cell_len(made) <= width
    if cell_len(text) <= width:
        assert made == text
    elif cell_len(kept) + 4 <= width:
        assert kept in made


@given(st.lists(NAMES, min_size=2, unique=True))
def test_a_difference_has_what_is_not_the_same_in_all(names: list[str]) -> None:
    difference = Difference(names)
    for name in names:
        start, end = difference.place_in(name)
        assert 0 <= start <= end <= len(name)
        assert all(each.startswith(name[:start]) for each in names)
        assert all(each.endswith(name[end:]) for each in names)


def test_the_examples_of_the_documentation_are_right() -> None:
    assert doctest.testmod(labels_module).failed == 0


@pytest.mark.parametrize("widest", [12, 16, 20])
def test_names_that_are_alike_keep_the_part_that_differs(widest: int) -> None:
    names = dict(enumerate([f"web-production-frontend-{e}-central-1" for e in REGIONS], 1))
    at_once, one_by_one = Labels(widest=widest), Labels(widest=widest)
    at_once.expect(names)
    for service_id, name in names.items():
        region = REGIONS[service_id - 1]
        assert region in at_once.label(service_id, name)
        assert cell_len(at_once.label(service_id, name)) <= widest
        # The first one was there before anything was like it.
        assert region in one_by_one.label(service_id, name) or service_id == 1


def test_a_name_is_not_shortened_where_there_is_no_limit() -> None:
    name = "web-production-frontend-eu-central-1"
    assert Labels().label(1, name) == name


def test_services_with_the_same_name_are_distinguished_by_their_ids() -> None:
    labels = Labels(widest=16)
    labels.expect({1: "web", 2: "web", 3: None})
    assert [labels.label(1, "web"), labels.label(2, "web")] == ["web (1)", "web (2)"]
    assert labels.label(3, None) == "service 3"
