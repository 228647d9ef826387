"""Attributes of services, as people write them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.api.models import JSON
from aioservices.cli.attributes import (
    MASK,
    assigned,
    changes_to,
    env_file,
    environment,
    from_document,
    shown_changes,
)
from aioservices.cli.errors import CommandError

VARIABLES = st.dictionaries(st.text(min_size=1), st.text(min_size=1))
SERVICES = st.fixed_dictionaries(
    {
        "id": st.integers(1),
        "name": st.text(min_size=1),
        "replicas": st.none() | st.integers(1, 9),
        "credentials": st.none() | st.lists(st.integers(1)),
        "schedule": st.none()
        | st.fixed_dictionaries({"runtime_plan": st.just("always_on"), "recurrences": st.just([])}),
        "environment_variables": st.none() | VARIABLES,
        "created_at": st.just("2026-11-26T00:00:00Z"),
    }
)


@given(SERVICES, st.booleans())
def test_what_is_shown_of_a_service_changes_nothing_in_it(
    service: dict[str, JSON], masked: bool
) -> None:
    shown = json.loads(json.dumps(service))
    if masked and shown["environment_variables"]:
        shown["environment_variables"] = dict.fromkeys(shown["environment_variables"], MASK)
    if shown["credentials"]:
        shown["credentials"] = [{"id": each, "name": "x"} for each in shown["credentials"]]
    assert changes_to(service, from_document(shown, service, new=False)) == {}


@given(VARIABLES, VARIABLES)
def test_what_changes_is_shown_without_values(
    before: dict[str, str], after: dict[str, str]
) -> None:
    secret = dict.fromkeys(before, "hunter2")
    lines = shown_changes(
        {"environment_variables": {**secret}}, {"environment_variables": {**after}}
    )
    assert "hunter2" not in "".join(lines)
    assert len(lines) == len({*before, *after})


def test_a_text_stays_as_it_is_and_anything_else_is_json() -> None:
    given = assigned(["name=007", "replicas=3", "credentials=[1, 2]"], ["memory"], {}, new=False)
    assert given == {"name": "007", "replicas": 3, "credentials": [1, 2], "memory": None}


def test_a_member_of_an_object_is_set_and_the_others_stay() -> None:
    base: dict[str, JSON] = {"schedule": {"runtime_plan": "on_demand", "recurrences": []}}
    given = assigned(["schedule.runtime_plan=always_on"], [], base, new=False)
    assert given == {"schedule": {"runtime_plan": "always_on", "recurrences": []}}


def test_variables_come_from_lines_settings_and_the_environment() -> None:
    lines = ["# comment", "", "export A='1 2'", 'B="x=y"', "C=plain # not a comment"]
    assert env_file(lines) == {"A": "1 2", "B": "x=y", "C": "plain # not a comment"}
    assert environment(["A=2", "D"], lines[2:3], {"D": "mine"}) == {"A": "2", "D": "mine"}


@pytest.mark.parametrize("line", ["TOKEN", "=value", "two words=3"])
def test_a_line_that_sets_no_variable_is_named_by_its_number(line: str) -> None:
    with pytest.raises(CommandError, match="line 2 ") as caught:
        env_file(["A=1", line])
    assert line not in str(caught.value)


def test_a_masked_value_that_is_not_known_is_refused() -> None:
    with pytest.raises(CommandError, match="TOKEN is masked"):
        from_document({"environment_variables": {"TOKEN": MASK}}, None, new=True)
