"""Models: what they take from the wire, and what they show of it."""

import doctest
import json
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from io import StringIO
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aioservices import DeployOutcome, SessionClosedError
from aioservices.api import models
from aioservices.api.models import (
    Credential,
    Dependency,
    Deployment,
    DeploymentSummary,
    LogEntry,
    NewToken,
    Notifications,
    Project,
    Recurrence,
    Schedule,
    Service,
    ServiceSummary,
    Sharee,
    ShareHolders,
    Shares,
    TailedEntry,
    Token,
    Transfer,
    TransferredDependency,
    User,
    assign_log,
    to_dict,
)

AT = "2026-11-23T12:34:56.000Z"
INSTANT = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)
WIRE_USER = {"id": 7, "name": "Ada L", "username": "ada", "initials": "AL", "online": True}
ADA = User(id=7, name="Ada L", username="ada", initials="AL", online=True)
WIRE_DEPLOYMENT: dict[str, Any] = {
    "deploymentId": 5,
    "userId": 7,
    "host": "web.example.org",
    "name": "web",
    "dockerImageName": "nginx",
    "dockerImageTag": "1.29",
    "instanceType": "m5.xlarge",
    "memory": 512,
    "cpu": 250,
    "state": "running",
    "stateMessage": "all is well",
    "maxMemoryUsage": 301.5,
    "maxCpuUsage": 99,
    "createdAt": AT,
    "updatedAt": AT,
    "serviceId": 42,
}
SUMMARY = DeploymentSummary(
    deployment_id=5,
    user_id=7,
    host="web.example.org",
    name="web",
    docker_image_name="nginx",
    docker_image_tag="1.29",
    instance_type="m5.xlarge",
    memory=512,
    cpu=250,
    state="running",
    state_message="all is well",
    max_memory_usage=301.5,
    max_cpu_usage=99.0,
    created_at=INSTANT,
    updated_at=INSTANT,
    service_id=42,
)
WIRE_SERVICE: dict[str, Any] = {
    "id": 42,
    "name": "web",
    "description": "a site",
    "user": WIRE_USER,
    "type": "App",
    "dockerImageName": "nginx",
    "dockerImageTag": "1.29",
    "schedule": {
        "runtimePlan": "specific_times",
        "recurrences": [{"scheduledDays": [0, 6], "scheduledHours": [8]}],
    },
    "timeZone": "America/Chicago",
    "replicas": 2,
    "maxReplicas": 4,
    "instanceType": "m5.xlarge",
    "memory": 512,
    "cpu": 250,
    "createdAt": AT,
    "updatedAt": AT,
    "credentials": [1, {"id": 2, "name": "database"}],
    "permissionSetId": 3,
    "gitRepoUrl": "https://git.example.org/web",
    "gitRepoRef": "main",
    "gitPathDir": "app",
    "reportId": 9,
    "currentDeployment": WIRE_DEPLOYMENT | {"displayUrl": "https://x.example.org/?sig=hush"},
    "currentUrl": "https://web.example.org",
    "environmentVariables": {"DB_URL": "hush", "fooBar": "hush too", "snake_case": None},
    "notifications": {"failureEmailAddresses": ["ops@example.org"], "failureOn": True},
    "partitionLabel": "main",
    "myPermissionLevel": "manage",
    "archived": False,
    "hidden": False,
}
SERVICE = Service(
    id=42,
    name="web",
    description="a site",
    user=ADA,
    type="App",
    docker_image_name="nginx",
    docker_image_tag="1.29",
    schedule=Schedule(
        runtime_plan="specific_times",
        recurrences=[Recurrence(scheduled_days=[0, 6], scheduled_hours=[8])],
    ),
    time_zone="America/Chicago",
    replicas=2,
    max_replicas=4,
    instance_type="m5.xlarge",
    memory=512,
    cpu=250,
    created_at=INSTANT,
    updated_at=INSTANT,
    credentials=[1, Credential(id=2, name="database")],
    permission_set_id=3,
    git_repo_url="https://git.example.org/web",
    git_repo_ref="main",
    git_path_dir="app",
    report_id=9,
    current_deployment=Deployment(
        **msgspec.structs.asdict(SUMMARY), display_url="https://x.example.org/?sig=hush"
    ),
    current_url="https://web.example.org",
    environment_variables={"DB_URL": "hush", "fooBar": "hush too", "snake_case": None},
    notifications=Notifications(failure_email_addresses=["ops@example.org"], failure_on=True),
    partition_label="main",
    my_permission_level="manage",
    archived=False,
    hidden=False,
)
WIRE_DEPENDENCY = {
    "objectType": "Credential",
    "fcoType": "credential",
    "id": 2,
    "name": "database",
    "permissionLevel": "read",
    "description": "of the warehouse",
}
WIRE_TOKEN = {
    "id": 3,
    "name": "ci",
    "user": WIRE_USER,
    "machineToken": False,
    "expiresAt": AT,
    "createdAt": AT,
}
WIRE_HOLDERS = {"users": [{"id": 7, "name": "Ada"}], "groups": [{"id": 8, "name": "Ops"}]}
HOLDERS = ShareHolders(users=[Sharee(id=7, name="Ada")], groups=[Sharee(id=8, name="Ops")])

SAMPLES: list[tuple[dict[str, Any], msgspec.Struct]] = [
    (WIRE_USER, ADA),
    (WIRE_DEPLOYMENT, SUMMARY),
    (WIRE_SERVICE, SERVICE),
    (
        {
            "id": 42,
            "name": "web",
            "description": "a site",
            "user": WIRE_USER,
            "type": "App",
            "createdAt": AT,
            "updatedAt": AT,
            "gitRepoUrl": "https://git.example.org/web",
            "gitRepoRef": "main",
            "gitPathDir": "app",
            "currentDeployment": WIRE_DEPLOYMENT,
            "archived": "false",
        },
        ServiceSummary(
            id=42,
            name="web",
            description="a site",
            user=ADA,
            type="App",
            created_at=INSTANT,
            updated_at=INSTANT,
            git_repo_url="https://git.example.org/web",
            git_repo_ref="main",
            git_path_dir="app",
            current_deployment=SUMMARY,
            archived="false",
        ),
    ),
    (
        {"message": "hello", "stream": "stdout", "createdAt": AT, "source": "user"},
        LogEntry(message="hello", stream="stdout", created_at=INSTANT, source="user"),
    ),
    (
        {
            "id": 4,
            "author": WIRE_USER,
            "name": "apps",
            "description": "all of them",
            "users": [WIRE_USER],
            "autoShare": True,
            "createdAt": AT,
            "updatedAt": AT,
            "archived": False,
        },
        Project(
            id=4,
            author=ADA,
            name="apps",
            description="all of them",
            users=[ADA],
            auto_share=True,
            created_at=INSTANT,
            updated_at=INSTANT,
            archived=False,
        ),
    ),
    (
        {
            "readers": WIRE_HOLDERS,
            "writers": WIRE_HOLDERS,
            "owners": WIRE_HOLDERS,
            "totalUserShares": 3,
            "totalGroupShares": 3,
        },
        Shares(
            readers=HOLDERS,
            writers=HOLDERS,
            owners=HOLDERS,
            total_user_shares=3,
            total_group_shares=3,
        ),
    ),
    (
        WIRE_DEPENDENCY | {"shareable": True},
        Dependency(
            object_type="Credential",
            fco_type="credential",
            id=2,
            name="database",
            permission_level="read",
            description="of the warehouse",
            shareable=True,
        ),
    ),
    (
        {"dependencies": [WIRE_DEPENDENCY | {"shared": False}]},
        Transfer(
            dependencies=[
                TransferredDependency(
                    object_type="Credential",
                    fco_type="credential",
                    id=2,
                    name="database",
                    permission_level="read",
                    description="of the warehouse",
                    shared=False,
                )
            ]
        ),
    ),
    (
        WIRE_TOKEN | {"token": "hush"},
        NewToken(
            id=3,
            name="ci",
            user=ADA,
            machine_token=False,
            expires_at=INSTANT,
            created_at=INSTANT,
            token="hush",
        ),
    ),
    (
        WIRE_TOKEN,
        Token(
            id=3,
            name="ci",
            user=ADA,
            machine_token=False,
            expires_at=INSTANT,
            created_at=INSTANT,
        ),
    ),
]
MODELS = [
    model
    for model in vars(models).values()
    if isinstance(model, type)
    and issubclass(model, msgspec.Struct)
    and model.__name__ in models.__all__
]
NOUNS = [model for model in MODELS if model is not TailedEntry]  # that one the server never says
REQUIRED = {"id", "deployment_id"}


def decode(wire: object, model: type[msgspec.Struct]) -> msgspec.Struct:
    return msgspec.json.decode(json.dumps(wire), type=model)


def required(model: type[msgspec.Struct]) -> Iterator[msgspec.structs.FieldInfo]:
    return (field for field in msgspec.structs.fields(model) if field.required)


def least(model: type[msgspec.Struct]) -> dict[str, object]:
    """The shortest answer that is one of these."""
    return {field.encode_name: 1 for field in required(model)}


@pytest.mark.parametrize(("wire", "value"), SAMPLES, ids=lambda each: type(each).__name__)
def test_every_field_of_an_answer_is_decoded(wire: dict[str, Any], value: msgspec.Struct) -> None:
    assert decode(wire, type(value)) == value


@pytest.mark.parametrize("model", NOUNS)
def test_only_what_identifies_a_value_must_be_there(model: type[msgspec.Struct]) -> None:
    assert {field.name for field in required(model)} <= REQUIRED
    value = decode(least(model), model)
    optional = {field.name for field in msgspec.structs.fields(model) if not field.required}
    assert {getattr(value, name) for name in optional} <= {None}


@pytest.mark.parametrize("model", NOUNS)
def test_a_null_is_none_as_an_absence_is(model: type[msgspec.Struct]) -> None:
    names = {field.encode_name for field in msgspec.structs.fields(model)}
    nulls = dict.fromkeys(names)
    assert decode(nulls | least(model), model) == decode(least(model), model)


@pytest.mark.parametrize("model", NOUNS)
def test_a_field_of_a_newer_server_is_ignored(model: type[msgspec.Struct]) -> None:
    assert decode(least(model) | {"aNewField": {"x": 1}}, model) == decode(least(model), model)


def test_credentials_may_be_identifiers_objects_or_both() -> None:
    service = decode({"id": 1, "credentials": [{"id": 2, "name": "a"}, 3, {"id": 4}]}, Service)
    assert service == Service(id=1, credentials=[Credential(id=2, name="a"), 3, Credential(id=4)])


def test_environment_variables_may_be_any_scalar_and_are_masked_alike() -> None:
    variables = {"A": "48151623", "B": 48151623, "C": 481.51623, "D": True, "E": None}
    service = decode({"id": 1, "environmentVariables": variables}, Service)
    assert isinstance(service, Service)
    assert service.environment_variables == variables
    assert to_dict(service)["environment_variables"] == variables
    assert repr(dict.fromkeys(variables, "***")) in repr(service)


@pytest.mark.parametrize("archived", [True, False, "true", "false", None])
def test_the_archival_status_stays_as_the_server_gave_it(archived: object) -> None:
    service = decode({"id": 1, "archived": archived}, Service)
    assert isinstance(service, Service)
    assert service.archived is archived or service.archived == archived


def test_a_state_that_is_not_known_is_taken() -> None:
    assert decode({"deploymentId": 1, "state": "hibernating"}, Deployment) == Deployment(
        deployment_id=1, state="hibernating"
    )


@pytest.mark.parametrize("state", [5, -0.5, True, ["running"], {"name": "running"}])
def test_a_state_that_is_not_a_text_is_shown_as_json(state: object) -> None:
    text = json.dumps(state, separators=(",", ":"))
    answer = json.dumps({"id": 1, "currentDeployment": {"deploymentId": 2, "state": state}})
    service = msgspec.json.decode(answer, type=Service)
    summary = msgspec.json.decode(answer, type=ServiceSummary)
    for current in (service.current_deployment, summary.current_deployment):
        assert current is not None
        assert current.state == text


def test_a_timestamp_keeps_its_offset_and_is_aware() -> None:
    entry = decode({"createdAt": "2026-11-23T14:34:56+02:00"}, LogEntry)
    assert isinstance(entry, LogEntry)
    assert entry.created_at == INSTANT
    assert entry.created_at.utcoffset() == timedelta(hours=2)


def test_a_line_that_is_tailed_has_a_time_and_takes_nothing_of_a_server_but_the_line() -> None:
    wire = {"createdAt": AT, "serviceId": "x", "deploymentId": None, "copy": "7"}
    entry = decode(wire, TailedEntry)
    assert isinstance(entry, TailedEntry)
    assert entry == TailedEntry(created_at=INSTANT)
    assign_log([entry], 3, 4)
    assert entry == TailedEntry(created_at=INSTANT, service_id=3, deployment_id=4)
    assert decode(wire, LogEntry) == LogEntry(created_at=INSTANT)
    for untimed in ({"message": "a"}, {"message": "a", "createdAt": None}):
        with pytest.raises(msgspec.ValidationError, match="createdAt"):
            decode(untimed, TailedEntry)


@pytest.mark.parametrize("text", ["stderr", "stdout", "neither"])
def test_a_text_is_a_plain_string_and_one_that_is_expected_is_shared(text: str) -> None:
    page = json.dumps([{"stream": text}, {"stream": text}])
    first, second = msgspec.json.decode(page, type=list[LogEntry])
    assert type(first.stream) is str
    assert first == second == LogEntry(stream=text)
    assert (first.stream is second.stream) == text.startswith("std")


def test_a_timestamp_without_a_zone_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="createdAt"):
        decode({"createdAt": "2026-11-23T12:34:56"}, LogEntry)


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        SERVICE.name = "other"  # type: ignore[misc]


def test_a_value_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(SERVICE)) == SERVICE


def test_a_deployment_is_a_deployment_summary_too() -> None:
    assert isinstance(SERVICE.current_deployment, DeploymentSummary)


@pytest.mark.parametrize(
    "value",
    [SERVICE, SERVICE.current_deployment, NewToken(id=1, token="hush"), [SERVICE]],
    ids=lambda each: type(each).__name__,
)
def test_no_way_of_showing_a_value_reveals_a_secret(value: object) -> None:
    screen = StringIO()
    Console(file=screen, width=200).print(value)
    for shown in (repr(value), str(value), f"{value}", screen.getvalue()):
        assert "hush" not in shown
        assert "***" in shown


def test_the_repr_shows_what_is_set_and_the_names_of_variables() -> None:
    assert repr(Deployment(deployment_id=5, state="running")).startswith(
        "Deployment(deployment_id=5, user_id=None, "
    )
    assert "environment_variables={'DB_URL': '***', 'fooBar': '***'" in repr(SERVICE)
    assert "display_url=None" in repr(Deployment(deployment_id=5))


@pytest.mark.parametrize(("wire", "value"), SAMPLES, ids=lambda each: type(each).__name__)
def test_to_dict_gives_the_attributes_by_their_names(
    wire: dict[str, Any], value: msgspec.Struct
) -> None:
    plain = to_dict(value)
    assert list(plain) == list(value.__struct_fields__)
    assert json.loads(json.dumps(plain)) == plain


def test_to_dict_leaves_the_names_of_environment_variables_alone() -> None:
    assert to_dict(SERVICE)["environment_variables"] == WIRE_SERVICE["environmentVariables"]


def test_to_dict_goes_all_the_way_down() -> None:
    plain = to_dict(SERVICE)
    assert plain["credentials"] == [1, {"id": 2, "name": "database"}]
    assert plain["schedule"] == {
        "runtime_plan": "specific_times",
        "recurrences": [{"scheduled_days": [0, 6], "scheduled_hours": [8]}],
    }
    assert isinstance(plain["current_deployment"], dict)
    assert plain["current_deployment"]["display_url"] == "https://x.example.org/?sig=hush"
    assert plain["current_deployment"]["max_cpu_usage"] == 99.0


def test_to_dict_takes_several_values_at_once() -> None:
    assert to_dict(Sharee(id=n) for n in (1, 2)) == [
        {"id": 1, "name": None},
        {"id": 2, "name": None},
    ]


def test_to_dict_refuses_what_is_no_model() -> None:
    for wrong, kind in (([object()], "object"), ("text", "str"), ({"a": ADA}, "str")):
        with pytest.raises(TypeError, match=f"models of this library, not {kind}"):
            to_dict(wrong)  # type: ignore[arg-type]


def test_to_dict_contains_the_error_of_an_outcome() -> None:
    error = SessionClosedError("the session is closed")
    outcome = DeployOutcome(service_id=1, deployment=None, error=error, elapsed=0.5)
    assert to_dict(outcome) == {
        "service_id": 1,
        "deployment": None,
        "error": "the session is closed",
        "elapsed": 0.5,
    }


@given(
    st.datetimes(
        min_value=datetime(1900, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m))),
    )
)
def test_to_dict_writes_a_timestamp_so_that_it_reads_back_the_same(instant: datetime) -> None:
    written = to_dict(LogEntry(created_at=instant))["created_at"]
    assert isinstance(written, str)
    assert datetime.fromisoformat(written) == instant


def test_every_noun_of_the_interface_is_a_model() -> None:
    assert {model.__name__ for model in NOUNS} == {
        "Credential",
        "Dependency",
        "Deployment",
        "DeploymentSummary",
        "LogEntry",
        "NewToken",
        "Notifications",
        "Project",
        "Recurrence",
        "Schedule",
        "Service",
        "ServiceSummary",
        "ShareHolders",
        "Sharee",
        "Shares",
        "Token",
        "Transfer",
        "TransferredDependency",
        "User",
    }


def test_permission_levels_and_plans_are_those_of_the_reference() -> None:
    assert get_args(models.PermissionLevel) == ("read", "write", "manage")
    assert get_args(models.RuntimePlan) == ("on_demand", "specific_times", "always_on")


def test_the_examples_in_the_documentation_are_right() -> None:
    result = doctest.testmod(models.convert)
    assert result.attempted > 0
    assert result.failed == 0
