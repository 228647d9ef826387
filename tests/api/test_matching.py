"""Which services are meant by ids, names and patterns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.api.matching import ids_among, is_pattern, matches, select

NAMES: dict[int, str | None] = {
    1: "web",
    2: "WEB",
    3: "api",
    4: None,
    5: "web [prod]",
    6: "Straße-1",
}


@pytest.mark.parametrize(
    ("term", "ids"),
    [
        ("3", (3,)),
        ("99", ()),
        ("API", (3,)),
        ("web", (1,)),
        ("WEB", (2,)),
        ("Web", (1, 2)),
        ("we?", (1, 2)),
        ("w*", (1, 2, 5)),
        ("[ab]pi", (3,)),
        ("web [prod]", (5,)),
        ("WEB [PROD]", (5,)),
        ("STRASSE-?", (6,)),
        ("straße-1", (6,)),
        ("nothing", ()),
    ],
)
def test_a_term_means_an_id_a_name_or_what_fits_it(term: str, ids: tuple[int, ...]) -> None:
    selection = select([term], NAMES)
    assert selection.ids == ids
    assert selection.unmatched == (() if ids else (term,))


def test_a_name_that_several_services_have_is_ambiguous_and_a_pattern_is_not() -> None:
    assert select(["Web", "we?"], NAMES).ambiguous == {"Web": (1, 2)}


def test_every_term_that_means_nothing_is_reported() -> None:
    assert select(["99", "web", "no-*", "none"], NAMES).unmatched == ("99", "no-*", "none")


@given(st.text())
def test_every_name_finds_the_service_that_is_called_so(name: str) -> None:
    assert matches(name, name)
    assert matches(name.casefold(), name)


@given(st.dictionaries(st.integers(1, 99), st.sampled_from(["web", "WEB", "api", None])))
def test_a_selection_holds_each_service_once(names: dict[int, str | None]) -> None:
    assert select([*map(str, names), "*"], names).ids == tuple(names)


def test_only_digits_are_ids() -> None:
    assert ids_among(["1", "x", "1", "1.5", "-2", "٣", "20"]) == [1, 20]
    largest = 2**63 - 1
    assert ids_among([str(largest), str(largest + 1), "9" * 5000]) == [largest]
    assert is_pattern("a[b]")
    assert not is_pattern("a-b")
