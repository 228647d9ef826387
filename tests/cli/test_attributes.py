"""Attributes of services, as people write them."""

import json
import textwrap
from pathlib import Path

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
from aioservices.cli.files import documents_in

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


@pytest.mark.parametrize(
    "text",
    [
        "environment_variables: {A: 1, B: on, C: 0644, D: 1.10, E: 12:30, F: 2026-01-02, on: 'y'}",
        """
        base: &base {A: 1, B: on}
        environment_variables:
          <<: [*base, {C: 0644, D: 1.10}]
          E: 12:30
          F: 2026-01-02
          on: y
        """,
        """
        base: &base
          environment_variables: {A: 1, B: on, C: 0644, D: 1.10, E: 12:30, F: 2026-01-02, on: y}
        <<: *base
        """,
    ],
)
def test_a_variable_in_yaml_is_what_is_written(text: str, tmp_path: Path) -> None:
    path = tmp_path / "service.yaml"
    path.write_text(textwrap.dedent(text))
    [document] = documents_in(str(path))
    assert isinstance(document, dict)
    expected = {"A": "1", "B": "on", "C": "0644", "D": "1.10", "E": "12:30", "F": "2026-01-02"}
    assert document["environment_variables"] == expected | {"on": "y"}


def test_what_is_no_variable_stays_a_number(tmp_path: Path) -> None:
    path = tmp_path / "service.yaml"
    path.write_text("memory: &n 1024\nenvironment_variables: {N: *n, GONE: null}\nreplicas: *n\n")
    [document] = documents_in(str(path))
    variables = {"N": "1024", "GONE": None}
    assert document == {"memory": 1024, "environment_variables": variables, "replicas": 1024}


@given(st.dictionaries(st.text(min_size=1), st.integers() | st.booleans() | st.text(min_size=1)))
def test_a_value_that_is_stored_as_text_is_no_change_the_next_time(values: dict[str, JSON]) -> None:
    document = {"environment_variables": values}
    changes = from_document(document, {}, new=False)
    assert changes_to(changes, from_document(document, changes, new=False)) == {}
    stored = changes["environment_variables"]
    assert isinstance(stored, dict)
    assert all(isinstance(each, str) for each in stored.values())


@pytest.mark.parametrize("value", [1.5, ["a"], {"a": "b"}])
def test_a_value_that_is_no_text_is_refused_by_name(value: JSON) -> None:
    with pytest.raises(CommandError, match="the value of NEW is not a string: put it in quotes"):
        from_document({"environment_variables": {"NEW": value}}, {}, new=False)


def test_a_member_is_cleared_and_the_others_stay() -> None:
    base: dict[str, JSON] = {"schedule": {"runtime_plan": "on_demand", "recurrences": [{}]}}
    given = assigned([], ["schedule.recurrences"], base, new=False)
    assert given == {"schedule": {"runtime_plan": "on_demand", "recurrences": []}}
    base = {"notifications": {"failure_on": True, "success_email_subject": "Up"}}
    given = assigned([], ["notifications.success_email_subject"], base, new=False)
    assert given == {"notifications": {"failure_on": True, "success_email_subject": None}}
    assert assigned([], ["schedule.recurrences"], {"schedule": None}, new=False) == {
        "schedule": None
    }


def test_a_variable_that_is_set_by_its_path_is_a_text() -> None:
    base: dict[str, JSON] = {"environment_variables": {"A": "0"}}
    given = assigned(["environment_variables.B.C=1"], [], base, new=False)
    assert given == {"environment_variables": {"A": "0", "B.C": "1"}}


@pytest.mark.parametrize(
    ("settings", "unset", "said"),
    [
        ([], ["environment_variables.A"], "--unset environment_variables.A: say --unset-env A"),
        ([], ["environment_variable.A"], "did you mean environment_variables.A?"),
        ([], ["schedule.recurrence"], "its members are runtime_plan, recurrences"),
        ([], ["name.first"], "it is not an object"),
        ([], ["schedule", "schedule.recurrences"], "all of schedule is unset already"),
        (["schedule.recurrences=[]"], ["schedule.recurrences"], "both set and unset"),
        (["schedule.recurrences=[]"], ["schedule"], "both set and unset"),
        (["schedul.recurrences=[]"], [], "did you mean schedule.recurrences?"),
        (["name=a"], ["name"], "name is both set and unset"),
    ],
)
def test_a_path_that_makes_no_sense_is_refused_with_the_right_one(
    settings: list[str], unset: list[str], said: str
) -> None:
    schedule: dict[str, JSON] = {"runtime_plan": "on_demand", "recurrences": []}
    base: dict[str, JSON] = {"name": "web", "schedule": schedule}
    with pytest.raises(CommandError) as caught:
        assigned(settings, unset, base, new=False)
    assert said in str(caught.value)
