"""What a caller may pass: how it is checked, and how it is written on the wire."""

import inspect
import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices import Services
from aioservices.api.models import Credential, Notifications, Recurrence, Schedule
from aioservices.api.params import (
    NewServiceAttributes,
    ServiceAttributes,
    encode,
    encode_attributes,
    encode_body,
)
from aioservices.validation import (
    format_timestamp,
    validate_int,
    validate_ints,
    validate_seconds,
    validate_type,
)

integers = st.integers(1 - 2**63, 2**63 - 1)
counts = st.integers(0, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]))
WIRE_NAMES = {
    "name": "name",
    "description": "description",
    "docker_image_name": "dockerImageName",
    "docker_image_tag": "dockerImageTag",
    "schedule": "schedule",
    "replicas": "replicas",
    "max_replicas": "maxReplicas",
    "instance_type": "instanceType",
    "memory": "memory",
    "cpu": "cpu",
    "credentials": "credentials",
    "permission_set_id": "permissionSetId",
    "git_repo_url": "gitRepoUrl",
    "git_repo_ref": "gitRepoRef",
    "git_path_dir": "gitPathDir",
    "environment_variables": "environmentVariables",
    "notifications": "notifications",
    "partition_label": "partitionLabel",
    "type": "type",
    "hidden": "hidden",
}
SIMPLE: dict[str, st.SearchStrategy[object]] = (
    dict.fromkeys(
        (
            "name",
            "description",
            "docker_image_name",
            "docker_image_tag",
            "instance_type",
            "git_repo_url",
            "git_repo_ref",
            "git_path_dir",
            "partition_label",
            "type",
        ),
        texts,
    )
    | dict.fromkeys(("replicas", "max_replicas", "memory", "cpu", "permission_set_id"), counts)
    | {
        "hidden": st.booleans(),
        "credentials": st.lists(counts),
        "environment_variables": st.dictionaries(
            texts,
            st.none()
            | texts
            | integers
            | st.booleans()
            | st.floats(allow_nan=False, allow_infinity=False),
        ),
    }
)

SCALAR = "a string, an integer, a float, a boolean or None"


def wire(method: str = "patch", /, **attributes: object) -> object:
    schema = NewServiceAttributes if method == "post" else ServiceAttributes
    return json.loads(encode_attributes(method, attributes, schema))


@given(
    st.fixed_dictionaries({}, optional={name: st.none() | v for name, v in SIMPLE.items()}),
)
def test_any_selection_of_attributes_is_sent_as_given_and_nothing_else(
    attributes: dict[str, object],
) -> None:
    expected = {WIRE_NAMES[name]: value for name, value in attributes.items()}
    assert wire("post", **attributes) == expected


@given(
    st.sampled_from(["on_demand", "specific_times", "always_on"]),
    st.lists(st.tuples(st.lists(st.integers(0, 6)), st.lists(st.integers(0, 23)))),
    st.booleans(),
)
def test_a_schedule_is_sent_alike_as_a_dictionary_and_as_a_model(
    plan: str, times: list[tuple[list[int], list[int]]], nested: bool
) -> None:
    recurrences = [Recurrence(scheduled_days=days, scheduled_hours=hours) for days, hours in times]
    plain = [{"scheduled_days": days, "scheduled_hours": hours} for days, hours in times]
    model = Schedule(runtime_plan=plan, recurrences=recurrences)
    dictionary = {"runtime_plan": plan, "recurrences": recurrences if nested else tuple(plain)}
    expected = {
        "schedule": {
            "runtimePlan": plan,
            "recurrences": [
                {"scheduledDays": days, "scheduledHours": hours} for days, hours in times
            ],
        }
    }
    assert wire(schedule=model) == wire(schedule=dictionary) == expected


def test_notifications_are_sent_alike_as_a_dictionary_and_as_a_model() -> None:
    expected = {"notifications": {"failureEmailAddresses": ["a@b.c"], "failureOn": None}}
    assert wire(notifications=Notifications(failure_email_addresses=["a@b.c"])) == expected
    given = {"failure_email_addresses": ("a@b.c",), "failure_on": None}
    assert wire(notifications=given) == expected


def test_part_of_the_notifications_can_be_given() -> None:
    assert wire(notifications={"failure_on": False}) == {"notifications": {"failureOn": False}}


def test_the_credentials_of_a_response_can_be_passed_back() -> None:
    assert wire(credentials=[1, Credential(id=2, name="database")]) == {"credentials": [1, 2]}


def test_the_names_of_environment_variables_are_never_converted() -> None:
    variables = {"snake_case": "1", "camelCase": "2", "UPPER_CASE": None}
    assert wire(environment_variables=variables) == {"environmentVariables": variables}


def test_no_attribute_is_an_empty_body() -> None:
    assert wire() == {}


def test_put_and_patch_take_neither_type_nor_hidden() -> None:
    for name in ("type", "hidden"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            wire("put", **{name: None})


@pytest.mark.parametrize("owner", [Services, Services("key" * 9).raw])
def test_the_signature_of_a_method_names_its_attributes(owner: object) -> None:
    own = {"self", "id"}
    for name, schema in (
        ("post", NewServiceAttributes),
        ("put", ServiceAttributes),
        ("patch", ServiceAttributes),
    ):
        parameters = inspect.signature(getattr(owner, name)).parameters
        keywords = [each for each in parameters.values() if each.name not in own]
        assert [each.name for each in keywords] == list(schema.__annotations__)
        assert {each.kind for each in keywords} == {inspect.Parameter.KEYWORD_ONLY}


def test_an_attribute_that_stands_for_nothing_is_not_sent() -> None:
    assert wire(name="web", cpu=msgspec.UNSET) == {"name": "web"}


def test_an_unknown_attribute_is_named_with_what_was_meant() -> None:
    with pytest.raises(TypeError) as caught:
        wire(replica=3)
    assert str(caught.value) == (
        "patch() got an unexpected keyword argument 'replica'; did you mean 'replicas'?"
    )


def test_an_unknown_attribute_like_no_other_is_just_named() -> None:
    with pytest.raises(TypeError, match=r"^post\(\) got an unexpected keyword argument 'zzz'$"):
        wire("post", zzz=3)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"replicas": "3"}, "replicas must be an integer or None, not str"),
        ({"replicas": True}, "replicas must be an integer or None, not bool"),
        ({"cpu": 1.0}, "cpu must be an integer or None, not float"),
        ({"name": 3}, "name must be a string or None, not int"),
        ({"name": b"web"}, "name must be a string or None, not bytes"),
        ({"credentials": "12"}, "credentials must be a list or None, not str"),
        ({"credentials": {1}}, "credentials must be a list or None, not set"),
        ({"credentials": [1, "2"]}, "credentials[1] must be an integer, not str"),
        ({"schedule": "always"}, "schedule must be a dictionary or None, not str"),
        ({"schedule": Notifications()}, "schedule must be a dictionary or None, not Notifications"),
        ({"schedule": {}}, "schedule needs 'recurrences' and 'runtime_plan'"),
        ({"schedule": {"runtime_plan": "always_on"}}, "schedule needs 'recurrences'"),
        (
            {"schedule": {"runtimePlan": "always_on", "recurrences": []}},
            "schedule takes no 'runtimePlan'; did you mean 'runtime_plan'?",
        ),
        (
            {"schedule": {"runtime_plan": None, "recurrences": []}},
            "schedule.runtime_plan must be a string, not NoneType",
        ),
        (
            {"schedule": {"runtime_plan": "x", "recurrences": [{"scheduled_days": [1]}]}},
            "schedule.recurrences[0] needs 'scheduled_hours'",
        ),
        (
            {"notifications": {"failure_on": 1}},
            "notifications.failure_on must be a boolean or None, not int",
        ),
        (
            {"environment_variables": ["A=hush"]},
            "environment_variables must be a dictionary or None, not list",
        ),
        (
            {"environment_variables": {"A": [8080]}},
            f"environment_variables['A'] must be {SCALAR}, not list",
        ),
        (
            {"environment_variables": {1: "hush"}},
            "the names in environment_variables must be strings, not int",
        ),
    ],
)
def test_a_wrong_type_is_reported_with_its_place_and_what_is_expected(
    attributes: Mapping[str, object], message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        wire(**attributes)
    assert str(caught.value) == message


@given(
    st.sampled_from(sorted(WIRE_NAMES)),
    st.recursive(
        st.sampled_from([3.5j, b"hush", {"hush"}, object]),
        lambda inner: (
            st.lists(inner, min_size=1) | st.dictionaries(st.just("A"), inner, min_size=1)
        ),
    ),
)
def test_no_refusal_repeats_the_value(name: str, value: object) -> None:
    with pytest.raises(TypeError) as caught:
        wire("post", **{name: value})
    assert "hush" not in str(caught.value)
    assert str(caught.value).startswith(name)


def test_an_integer_of_another_library_is_an_integer() -> None:
    class Index:
        def __index__(self) -> int:
            return 3

    assert wire(replicas=Index()) == {"replicas": 3}
    assert validate_int(Index(), "id") == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_have_is_refused_and_not_sent_as_null(number: float) -> None:
    with pytest.raises(ValueError, match=r"environment_variables\['A'\] must be a finite number"):
        wire(environment_variables={"A": number})


def test_a_text_that_is_no_unicode_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="lone surrogate") as caught:
        wire(environment_variables={"PASSWORD": "hush\udc80"})
    assert "hush" not in str(caught.value)


def test_no_error_behind_the_refusal_of_a_text_repeats_it_either() -> None:
    with pytest.raises(ValueError, match="lone surrogate") as caught:
        wire(environment_variables={"PASSWORD": "hush\udc80"})
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("false", bool, "x must be a boolean, not str"),
        (0, bool | None, "x must be a boolean or None, not int"),
        (True, int | None, "x must be an integer or None, not bool"),
        (5, str, "x must be a string, not int"),
        (b"a", str | None, "x must be a string or None, not bytes"),
        (None, str, "x must be a string, not NoneType"),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_its_name(
    value: object, kind: type, message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        validate_type(value, kind, "x")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "kind"),
    [(True, bool), (None, bool | None), ("", str), (7, int), (msgspec.UNSET, str | None)],
)
def test_an_argument_of_the_right_kind_stays_as_it_is(value: object, kind: type) -> None:
    assert validate_type(value, kind, "x") is value


@given(st.integers(0, 2**63 - 1))
def test_a_number_is_taken_as_it_is(number: int) -> None:
    assert validate_int(number, "id") == number
    assert validate_ints(iter([number, number]), "user_ids") == [number, number]
    assert validate_ints({number: "Ada"}, "user_ids") == [number]


@pytest.mark.parametrize("value", ["1", "1/../../users", 1.0, True, None, b"1", [1]])
def test_a_path_parameter_that_is_no_integer_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"^service_id must be an integer, not \w+$"):
        validate_int(value, "service_id")  # type: ignore[arg-type]


@given(st.integers(max_value=-1))
def test_a_negative_path_parameter_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=r"^id must be 0 or more"):
        validate_int(number, "id")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (5, "user_ids must be a list of integers, not int"),
        ("57", "user_ids must be a list of integers, not str"),
        (b"57", "user_ids must be a list of integers, not bytes"),
        ([1, "2"], "user_ids[1] must be an integer, not str"),
    ],
)
def test_a_list_of_identifiers_is_checked_one_by_one(values: object, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        validate_ints(values, "user_ids")  # type: ignore[arg-type]
    assert str(caught.value) == message


@given(
    st.datetimes(
        min_value=datetime(1, 1, 3),  # noqa: DTZ001
        max_value=datetime(9999, 12, 29),  # noqa: DTZ001
        timezones=st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m))),
    )
)
def test_an_aware_datetime_is_written_in_utc_to_the_microsecond(instant: datetime) -> None:
    written = format_timestamp(instant, "start_at")
    assert datetime.fromisoformat(written) == instant
    assert written.endswith("Z")
    assert len(written) == len("2026-11-23T12:34:56.123456Z")


@pytest.mark.parametrize(
    ("time", "written"),
    [
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5.5))), "0001-01-01T00:00:00.000000Z"),
        (
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
            "9999-12-31T23:59:59.999999Z",
        ),
    ],
)
def test_a_datetime_that_utc_does_not_have_is_written_as_the_nearest(
    time: datetime, written: str
) -> None:
    assert format_timestamp(time, "start_at") == written


@pytest.mark.parametrize("seconds", [-1, math.nan, 0, -math.inf, math.inf, 10**400, 1.1e9])
def test_seconds_that_make_no_sense_are_refused(seconds: float) -> None:
    with pytest.raises(
        ValueError, match=r"^wait must be greater than 0 and at most 1,000,000,000 seconds, not"
    ):
        validate_seconds(seconds, "wait")


def test_any_other_number_of_seconds_is_taken() -> None:
    assert validate_seconds(1, "wait") == 1
    assert validate_seconds(0.5, "wait", least=0.5) == 0.5
    assert validate_seconds(0, "wait", zero=True) == 0
    assert validate_seconds(math.inf, "wait", unbounded=True) == math.inf


def test_a_naive_datetime_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="start_at has no time zone: add one, as in"):
        format_timestamp(datetime(2026, 11, 23), "start_at")  # noqa: DTZ001


@pytest.mark.parametrize(
    "text",
    ["2026-11-23T12:34:56.000Z", "2026-11-23T12:34:56+02:00", "20261123T123456Z"],
)
def test_a_text_in_iso_8601_stays_as_it_is(text: str) -> None:
    assert format_timestamp(text, "end_at") == text


@pytest.mark.parametrize("text", ["2026-01-01 00:00", "2026-11-23T12:34:56.000", "2026-11-23"])
def test_a_text_without_a_time_zone_is_refused_as_a_naive_datetime_is(text: str) -> None:
    with pytest.raises(ValueError, match="end_at has no time zone: add one, as in 2026-"):
        format_timestamp(text, "end_at")


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "1764000000"])
def test_a_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="end_at must be a time in ISO 8601"):
        format_timestamp(text, "end_at")


def test_a_number_is_no_time() -> None:
    with pytest.raises(TypeError, match="start_at must be a datetime or a string, not float"):
        format_timestamp(1764000000.0, "start_at")  # type: ignore[arg-type]


def test_a_datetime_of_this_moment_is_taken() -> None:
    now = datetime.now(UTC)
    assert datetime.fromisoformat(format_timestamp(now, "start_at")) == now


@given(st.dictionaries(texts.filter(str.isidentifier), st.none() | st.just(msgspec.UNSET)))
def test_a_body_leaves_out_what_was_not_given_and_keeps_nulls(members: dict[str, object]) -> None:
    expected = {name: None for name, value in members.items() if value is None}
    assert json.loads(encode_body(**members)) == expected


@pytest.mark.parametrize("write", [encode, lambda value: encode_body(value=value)])
def test_what_cannot_be_written_as_json_is_refused(write: Callable[[object], bytes]) -> None:
    with pytest.raises(TypeError):
        write(object())
