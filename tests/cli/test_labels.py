"""The labels before the lines of services."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aioservices.cli.labels import Labels, shortened

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


@given(NAMES, st.integers(1, 30))
def test_a_shortened_text_fits(text: str, width: int) -> None:
    assert cell_len(shortened(text, width)) <= max(width, 0)
    if cell_len(text) <= width:
        assert shortened(text, width) == text


def test_a_name_is_not_shortened_where_there_is_no_limit() -> None:
    name = "web-production-frontend-eu-central-1"
    assert Labels().label(1, name) == name


def test_services_with_the_same_name_are_told_apart_by_their_ids() -> None:
    labels = Labels(widest=16)
    labels.expect({1: "web", 2: "web", 3: None})
    assert [labels.label(1, "web"), labels.label(2, "web")] == ["web (1)", "web (2)"]
    assert labels.label(3, None) == "service 3"
