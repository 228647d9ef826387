"""What the command line makes of texts, names and times."""

import datetime as dt
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.api.models import TailedEntry
from aioservices.cli.errors import CommandError
from aioservices.cli.filters import Colours, Format, colour_of
from aioservices.cli.matching import select, terms_from_lines
from aioservices.terminal.sanitize import one_line, printable
from aioservices.terminal.times import (
    format_duration,
    format_instant,
    parse_duration,
    parse_instant,
)

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT)
def test_a_printable_text_holds_nothing_that_a_terminal_acts_on(text: str) -> None:
    assert not {unicodedata.category(c) for c in printable(text) if c != "\n"} & {"Cc", "Cs"}
    assert "\n" not in one_line(text)


@given(st.text(st.characters(categories=["L", "N", "P"])))
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@given(ANY_TEXT)
def test_json_keeps_every_character_in_one_line_of_ascii(text: str) -> None:
    shown = Format(as_json=True)(TailedEntry(message=text, created_at=NOW))
    assert shown.isascii()
    assert shown.count("\n") == 1
    assert json.loads(shown)["message"] == text


@given(st.integers(1, 10**8))
def test_a_duration_can_be_read_as_it_is_said(seconds: int) -> None:
    said = format_duration(seconds)
    assert abs(parse_duration(said) - seconds) < 3600  # it leaves out small remainders


@pytest.mark.parametrize("text", ["", "m", "10x", "-5", "1h 30", "ten", "1e9999"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_an_instant_is_a_duration_ago_or_a_date() -> None:
    assert parse_instant("10m", now=NOW) == NOW - dt.timedelta(minutes=10)
    assert parse_instant("2026-11-24T11:00Z", now=NOW) == NOW - dt.timedelta(hours=1)
    with pytest.raises(ValueError, match="is not a time"):
        parse_instant("yesterday", now=NOW)


ZONES = st.timezones() | st.just(dt.UTC)


@given(st.datetimes(timezones=ZONES), st.sampled_from(["auto", "milliseconds", "minutes"]))
def test_an_instant_can_be_read_as_it_is_shown(instant: dt.datetime, precision: str) -> None:
    shown = format_instant(instant, precision)
    lost = instant - parse_instant(shown, now=NOW)
    assert dt.timedelta(0) <= lost < dt.timedelta(minutes=1)
    assert precision != "auto" or not lost


@given(st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1), timezones=ZONES))  # noqa: DTZ001
def test_an_instant_is_shown_in_utc(instant: dt.datetime) -> None:
    assert format_instant(instant, "auto")[-1] == "Z"


def test_a_name_in_the_right_case_goes_before_others() -> None:
    names: dict[int, str | None] = {1: "web", 2: "WEB"}
    assert select(["WEB"], names) == [2]
    with pytest.raises(CommandError, match="2 services"):
        select(["Web"], names)


@pytest.mark.parametrize("line", ["{", "{}", '{"id": null}', '{"id": "x"}'])
def test_a_line_that_is_no_service_is_refused(line: str) -> None:
    with pytest.raises(CommandError, match="no service id"):
        terms_from_lines([line])


@given(st.dictionaries(st.integers(1), st.text(min_size=1), max_size=10))
def test_services_differ_in_colour_while_there_are_free_ones(names: dict[int, str]) -> None:
    colours = Colours()
    given = {each: colours.of(each, name) for each, name in names.items()}
    assert len(set(given.values())) == len(names)
    assert {each: colours.of(each, "renamed") for each in names} == given


def test_a_service_has_the_colour_of_its_name_where_it_can() -> None:
    colours = Colours()
    assert colours.of(1, "web-shop") == colour_of("web-shop")
    assert colours.of(2, "web-shop") != colour_of("web-shop")
    for number in range(3, 20):
        colours.of(number, "web-shop")
    assert colours.of(20, "web-shop") == colour_of("web-shop")


def test_a_name_has_one_colour_for_ever() -> None:
    assert (colour_of("web-shop"), colour_of("api")) == (35, 94)
    assert len({colour_of(f"service-{number}") for number in range(100)}) > 5
