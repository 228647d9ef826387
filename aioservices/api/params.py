"""What a caller may pass to an endpoint, checked before anything is sent."""

# Without postponed annotations: those of the dictionaries are read at run time.

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter, signature
from types import NoneType, UnionType
from typing import Literal, TypeAlias, TypedDict, TypeVar, cast, get_args, get_origin, is_typeddict

import msgspec

from aioservices.http.secret import SecretBytes
from aioservices.validation import expected, validate_number

from .models import (
    JSON,
    Credential,
    EnvironmentValue,
    Notifications,
    Recurrence,
    RuntimePlan,
    Schedule,
)

__all__ = [
    "NewServiceAttributes",
    "NotificationsAttributes",
    "RecurrenceAttributes",
    "ScheduleAttributes",
    "ServiceAttributes",
    "encode",
    "encode_attributes",
    "encode_body",
    "with_keywords",
]


class RecurrenceAttributes(TypedDict):
    """Hours of the week at which a service is on.

    Attributes
    ----------
    scheduled_days
        Days of the week, 0 for Sunday to 6 for Saturday.
    scheduled_hours
        Hours of those days, 0 to 23, in the time zone of the service.
    """

    scheduled_days: Sequence[int]
    scheduled_hours: Sequence[int]


class ScheduleAttributes(TypedDict):
    """When a deployed service is on. Both are needed.

    Attributes
    ----------
    runtime_plan
        `on_demand` (turned on by a visit, off when idle), `specific_times` (on at the
        recurrences) or `always_on`.
    recurrences
        The times of a service with `specific_times`, else an empty list.
    """

    runtime_plan: RuntimePlan
    recurrences: Sequence[RecurrenceAttributes | Recurrence]


class NotificationsAttributes(TypedDict, total=False):
    """Who is notified when a service fails.

    Attributes
    ----------
    failure_email_addresses
        E-mail addresses to notify.
    failure_on
        Whether to notify them.
    """

    failure_email_addresses: Sequence[str] | None
    failure_on: bool | None


class ServiceAttributes(TypedDict, total=False):
    """What can be set on a service: the keyword arguments of `put` and `patch`.

    All are optional. None clears an attribute; arguments that are left out are not sent.

    Attributes
    ----------
    name
        Name of the service.
    description
        What it is for.
    docker_image_name
        Docker image to run, from Docker Hub.
    docker_image_tag
        Tag of that image. The server's default is `latest`.
    schedule
        When it is on while it is deployed: a dictionary, or the `Schedule` of a response.
    replicas
        Number of replicas to run; the least number if `max_replicas` is set.
    max_replicas
        The most replicas to run. Setting it lets the service scale automatically.
    instance_type
        EC2 instance type to run on.
    memory
        Memory for each replica, in MB.
    cpu
        Processor time for each replica, in millicores.
    credentials
        Credentials to give to it: identifiers, or `Credential` of a response.
    permission_set_id
        Identifier of a permission set.
    git_repo_url
        Git repository that its code is in.
    git_repo_ref
        Branch, tag or commit of that repository.
    git_path_dir
        Directory of the code in that repository. The server's default is its root.
    environment_variables
        Environment variables to give to it, by name; None clears one. Names and values are sent
        as they are; values are kept out of messages and logs.
    notifications
        Who is notified when it fails: a dictionary, or the `Notifications` of a response.
    partition_label
        Label of the partition of the cluster to run in.
    """

    name: str | None
    description: str | None
    docker_image_name: str | None
    docker_image_tag: str | None
    schedule: ScheduleAttributes | Schedule | None
    replicas: int | None
    max_replicas: int | None
    instance_type: str | None
    memory: int | None
    cpu: int | None
    credentials: Sequence[int | Credential] | None
    permission_set_id: int | None
    git_repo_url: str | None
    git_repo_ref: str | None
    git_path_dir: str | None
    environment_variables: Mapping[str, EnvironmentValue] | None
    notifications: NotificationsAttributes | Notifications | None
    partition_label: str | None


class NewServiceAttributes(ServiceAttributes, total=False):
    """What can be set on a new service: the keyword arguments of `post`.

    Attributes
    ----------
    type
        Kind of service.
    hidden
        Whether listings leave it out.
    """

    type: str | None
    hidden: bool | None


_Schema: TypeAlias = (
    ServiceAttributes | ScheduleAttributes | RecurrenceAttributes | NotificationsAttributes
)

T = TypeVar("T")
MethodT = TypeVar("MethodT", bound=Callable[..., object])


def with_keywords(schema: type[_Schema]) -> Callable[[MethodT], MethodT]:
    """Show in the signature of a method which keyword arguments it takes.

    Parameters
    ----------
    schema : type
        The TypedDict of what it takes.

    Returns
    -------
    callable
        A decorator. What the method takes stays as it is.
    """

    def decorate(method: MethodT) -> MethodT:
        shown = signature(method)
        *others, _ = shown.parameters.values()
        keywords = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=msgspec.UNSET, annotation=kind)
            for name, kind in schema.__annotations__.items()
        ]
        vars(method)["__signature__"] = shown.replace(parameters=[*others, *keywords])
        return method

    return decorate


def encode_attributes(
    method: str, attributes: ServiceAttributes | dict[str, object], schema: type[_Schema]
) -> SecretBytes:
    """Check the keyword arguments of a method and write them as the body of its request.

    Parameters
    ----------
    method : str
        Name of the method, for the message.
    attributes : dict
        The keyword arguments that were given. It is emptied, because environment variables are
        among them, and a traceback with local variables shows the arguments of each frame.
    schema : type
        The TypedDict of what the method takes.

    Returns
    -------
    bytes
        A JSON object with the keys that the API uses.

    Raises
    ------
    TypeError
        If an argument is unknown, or of a wrong type.
    """
    given = cast("dict[str, object]", attributes)
    try:
        return encode_body(**_members(method, given, schema))
    except (TypeError, ValueError) as error:
        problem = error.with_traceback(None)  # whose frames hold the values
        problem.__cause__ = problem.__context__ = None
    finally:
        given.clear()
    raise problem


def _members(
    method: str, attributes: Mapping[str, object], schema: type[_Schema]
) -> dict[str, JSON]:
    """Check the keyword arguments of a method, and convert them to the wire format."""
    hints: Mapping[str, object] = schema.__annotations__
    for name in attributes:
        if name not in hints:
            meant = _did_you_mean(name, hints)
            raise TypeError(f"{method}() got an unexpected keyword argument {name!r}{meant}")
    return {
        _camel(name): _wire(value, hints[name], name)
        for name, value in attributes.items()
        if value is not msgspec.UNSET
    }


def encode_body(**members: object) -> SecretBytes:
    """Write the body of a request.

    Parameters
    ----------
    **members
        Its members, named as on the wire. Those that are `msgspec.UNSET` are left out.

    Returns
    -------
    bytes
        A JSON object.
    """
    return encode({name: value for name, value in members.items() if value is not msgspec.UNSET})


def encode(value: object) -> SecretBytes:
    """Write a value as JSON.

    Parameters
    ----------
    value : object
        Anything that msgspec can encode.

    Returns
    -------
    bytes
        JSON in UTF-8.

    Raises
    ------
    TypeError
        If msgspec cannot encode it.
    ValueError
        If a string cannot be encoded in UTF-8.
    """
    problem: Exception
    try:
        return SecretBytes(msgspec.json.encode(value))
    except UnicodeEncodeError:  # it holds the text, which may be a secret
        problem = ValueError(
            "a string cannot be sent: it has a lone surrogate, as a file name or an environment "
            "variable that is not UTF-8 does"
        )
    except (TypeError, ValueError, RecursionError) as error:
        problem = TypeError(str(error))
    # Out of the handlers, or the error would hold the caught one as its context; and a traceback
    # with local variables would show the value.
    del value
    raise problem


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    import difflib  # seldom needed, and slow to load

    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _wire(value: object, hint: object, where: str) -> JSON:
    """Convert a value to the wire format, by the type hint that declares it."""
    got = type(value).__name__
    hints = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if value is None and NoneType in hints:
        return None
    if isinstance(value, msgspec.Struct) and type(value) in hints:
        return value.id if isinstance(value, Credential) else msgspec.to_builtins(value)
    kind = hints[0]
    origin = get_origin(kind) or kind
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        if is_typeddict(kind):
            return _wire_members(mapping, cast("type[_Schema]", kind), where)
        if origin is Mapping:
            return _wire_mapping(mapping, get_args(kind)[1], where)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        if origin is Sequence:
            each_hint = get_args(kind)[0]
            values = enumerate(cast("Sequence[object]", value))
            return [_wire(each, each_hint, f"{where}[{place}]") for place, each in values]
    elif (number := validate_number(value, hints, where)) is not None:
        return number
    elif (bool in hints and isinstance(value, bool)) or (
        (str in hints or origin is Literal) and isinstance(value, str)
    ):
        return value
    raise TypeError(f"{where} must be {expected((origin, *hints[1:]))}, not {got}")


def _wire_members(given: Mapping[object, object], schema: type[_Schema], where: str) -> JSON:
    hints: Mapping[str, object] = schema.__annotations__
    for name in given:
        if name not in hints:
            raise TypeError(f"{where} takes no {name!r}{_did_you_mean(str(name), hints)}")
    members = cast("Mapping[str, object]", given)
    required = schema.__required_keys__  # type: ignore[union-attr]  # mypy does not know it
    if missing := sorted(map(repr, required - members.keys())):
        raise TypeError(f"{where} needs {' and '.join(missing)}")
    return {
        _camel(name): _wire(value, hints[name], f"{where}.{name}")
        for name, value in members.items()
    }


def _wire_mapping(given: Mapping[object, object], hint: object, where: str) -> JSON:
    wire: dict[str, JSON] = {}
    for name, value in given.items():
        if not isinstance(name, str):
            raise TypeError(f"the names in {where} must be strings, not {type(name).__name__}")
        wire[name] = _wire(value, hint, f"{where}[{name!r}]")
    return wire
