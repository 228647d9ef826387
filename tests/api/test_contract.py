"""The client against the API specification that the official client's wheel carries.

Our side is observed, not listed: each method is called, and what arrives at a server, and what
comes back from an answer that has every property, is compared with the specification.
"""

import inspect
import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aioservices import Services, to_dict

# Ours alone: parameters that the specification does not know.
OWN_PARAMETERS = {"list": {"iterator"}, "list_deployments": {"iterator"}}

IDENTIFIERS = {"id", "deploymentId"}


@dataclass(frozen=True)
class Operation:
    """One endpoint, as the specification has it."""

    name: str
    method: str
    path: str
    path_parameters: tuple[str, ...]
    query: dict[str, Any]
    body: dict[str, Any]
    status: int
    answer: dict[str, Any] | None
    examples: tuple[str, ...]

    @property
    def required(self) -> list[str]:
        return list(self.body.get("required", []))

    @property
    def optional(self) -> list[str]:
        members = [name for name in self.body.get("properties", {}) if name not in self.required]
        return [*self.query, *members]

    def arguments(self, *, required_only: bool = False) -> "Arguments":
        """Return the arguments of a call, and the query and body that it must send."""
        path = {name: 11 + place for place, name in enumerate(self.path_parameters)}
        query = {} if required_only else {name: filled(kind) for name, kind in self.query.items()}
        members = self.required if required_only else self.body.get("properties", {})
        body = {name: filled(self.body["properties"][name]) for name in members}
        return Arguments(
            path=self.path.format(**path),
            query={name: in_query(value) for name, value in query.items()},
            body=body,
            positional=[*path.values(), *(snake_case(body[name]) for name in self.required)],
            keywords={
                **query,
                **{snake(k): snake_case(v) for k, v in body.items() if k not in self.required},
            },
        )


@dataclass(frozen=True)
class Arguments:
    path: str
    query: dict[str, str]
    body: dict[str, Any]
    positional: list[Any]
    keywords: dict[str, Any]


@dataclass
class Recorder:
    """A server that remembers the last request and answers as set."""

    status: int = 200
    answer: str = ""
    method: str = ""
    path: str = ""
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.Response:
        content = await request.read()
        self.method, self.path = request.method, request.path.rstrip("/")
        self.query = dict(request.query)
        self.body = json.loads(content) if content else {}
        return web.Response(
            status=self.status, text=self.answer or None, content_type="application/json"
        )

    def answer_with(self, operation: Operation, text: str) -> None:
        self.status, self.answer = operation.status, text


def specification() -> dict[str, Any]:
    """Return what the specification says about each path under /services."""
    # Read without importing the package, whose lazy parts warn of themselves.
    path = distribution("civis").locate_file("civis/resources/civis_api_spec.json")
    document = json.loads(Path(str(path)).read_bytes())
    paths = {path: each for path, each in document["paths"].items() if is_ours(path)}
    return dict(resolved(paths, document["definitions"]))


def is_ours(path: str) -> bool:
    return path == "/services" or path.startswith("/services/")


def resolved(value: Any, definitions: dict[str, Any]) -> Any:
    """Put the definitions where the specification refers to them."""
    match value:
        case {"$ref": str(reference)}:
            return resolved(definitions[reference.rpartition("/")[2]], definitions)
        case dict():
            return {name: resolved(each, definitions) for name, each in value.items()}
        case list():
            return [resolved(each, definitions) for each in value]
        case _:
            return value


def operations() -> Iterator[Operation]:
    for path, verbs in specification().items():
        for verb, entry in verbs.items():
            if "deprecated" in entry["summary"]:
                continue  # DELETE /services/{id}: in no reference, `put_archive` stands for it
            ((status, response),) = entry["responses"].items()
            answer = response.get("schema")
            yield Operation(
                name=method_name(verb, path, answer),
                method=verb.upper(),
                path=path.rstrip("/"),
                path_parameters=tuple(re.findall(r"{(\w+)}", path)),
                query={p["name"]: p for p in entry["parameters"] if p["in"] == "query"},
                body=next((p["schema"] for p in entry["parameters"] if p["in"] == "body"), {}),
                status=int(status),
                answer=answer,
                examples=tuple(
                    request["response_body"]
                    for example in entry["x-examples"] or []
                    for request in example["requests"]
                    if request["response_body"]
                ),
            )


def method_name(verb: str, path: str, answer: dict[str, Any] | None) -> str:
    """Name a method as the reference does: the verb, then what the path is about."""
    is_listing = verb == "get" and answer is not None and answer["type"] == "array"
    parts = [part for part in path.strip("/").split("/")[1:] if not part.startswith("{")]
    return "_".join(["list" if is_listing else verb, *parts])


_numbers = itertools.count(101)


def filled(schema: dict[str, Any]) -> Any:
    """Return a value that has everything in it that the schema knows, and nothing twice."""
    number = next(_numbers)
    match schema:
        case {"enum": [first, *_]}:
            return first
        case {"type": "string", "format": "time" | "date-time"}:
            return f"2026-11-23T12:34:56.{number % 1000:03}Z"
        case {"type": "string"}:
            return f"text {number}"
        case {"type": "integer"}:
            return number
        case {"type": "number"}:
            return number + 0.5
        case {"type": "boolean"}:
            return True
        case {"type": "array", "items": items}:
            return [filled(items), filled(items)]
        case {"properties": properties}:
            return {name: filled(each) for name, each in properties.items()}
        case {"additionalProperties": values}:
            return {"LOG_LEVEL": filled(values), "camelCase": filled(values)}
    raise AssertionError(f"the specification has something new: {schema}")


def in_query(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def snake_case(value: Any) -> Any:
    """Turn wire names into ours; the names of environment variables are the user's own."""
    match value:
        case {"LOG_LEVEL": _}:
            return value
        case dict():
            return {snake(name): snake_case(each) for name, each in value.items()}
        case list():
            return [snake_case(each) for each in value]
        case _:
            return value


def comparable(value: Any) -> Any:
    """Turn timestamps, which can be written in more than one way, into instants."""
    match value:
        case dict():
            return {name: comparable(each) for name, each in value.items()}
        case list():
            return [comparable(each) for each in value]
        case str() if re.match(r"\d{4}-\d\d-\d\dT", value):
            return datetime.fromisoformat(value)
        case _:
            return value


def nulled(answer: Any) -> Any:
    """Replace everything but what identifies a value by null."""
    match answer:
        case list():
            return [nulled(each) for each in answer]
        case _:
            return {name: each if name in IDENTIFIERS else None for name, each in answer.items()}


def expected_value(operation: Operation, answer: Any) -> Any:
    """Return what a method must give, as built-ins, for an answer."""
    value = comparable(snake_case(answer))
    if operation.name == "list_shares":  # the specification's array holds one object: that one
        (value,) = value
    return value


OPERATIONS = list(operations())
EACH_OPERATION = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: op.name)
EACH_ANSWER = pytest.mark.parametrize(
    "operation", [op for op in OPERATIONS if op.answer], ids=lambda op: op.name
)


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def services(recorder: Recorder) -> AsyncIterator[Services]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recorder.handle)
    async with (
        TestServer(app) as server,
        Services("key", base_url=str(server.make_url("/"))) as session,
    ):
        yield session


def answer_of(operation: Operation) -> Any:
    if operation.answer is None:
        return None
    answer = filled(operation.answer)
    return answer[:1] if operation.name == "list_shares" else answer


def as_sent(recorder: Recorder) -> tuple[str, str, dict[str, str], dict[str, Any]]:
    return recorder.method, recorder.path, recorder.query, recorder.body


def test_there_is_one_method_for_each_of_the_26_endpoints() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names) == 26
    for name in names:
        assert callable(getattr(Services, name)), name


def test_no_method_reaches_an_endpoint_that_is_not_in_the_specification() -> None:
    verbs = r"(list|get|post|put|patch|delete)(_|$)"
    ours = {name for name in dir(Services) if re.match(verbs, name)}
    assert ours == {operation.name for operation in OPERATIONS}


@EACH_OPERATION
def test_parameters_have_the_names_and_kinds_of_the_reference(operation: Operation) -> None:
    _, *parameters = inspect.signature(getattr(Services, operation.name)).parameters.values()
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == [
        *operation.path_parameters,
        *map(snake, operation.required),
    ]
    assert all(p.default is p.empty for p in positional)
    keywords = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:  # **attributes: Unpack[SomeTypedDict]
            hints = get_type_hints(getattr(Services, operation.name))
            keywords |= get_type_hints(hints[parameter.name].__args__[0]).keys()
    own = OWN_PARAMETERS.get(operation.name, set())
    assert keywords == {*map(snake, operation.optional), *own}
    assert not any(p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY) for p in parameters)


@EACH_OPERATION
async def test_a_call_sends_every_argument_under_its_name_on_the_wire(
    operation: Operation, recorder: Recorder, services: Services
) -> None:
    recorder.answer_with(operation, json.dumps(answer_of(operation)) if operation.answer else "")
    call = operation.arguments()
    await getattr(services, operation.name)(*call.positional, **call.keywords)
    assert as_sent(recorder) == (operation.method, call.path, call.query, call.body)


@EACH_OPERATION
async def test_a_call_sends_nothing_that_was_not_given(
    operation: Operation, recorder: Recorder, services: Services
) -> None:
    recorder.answer_with(operation, json.dumps(answer_of(operation)) if operation.answer else "")
    call = operation.arguments(required_only=True)
    await getattr(services, operation.name)(*call.positional)
    assert as_sent(recorder) == (operation.method, call.path, {}, call.body)


@EACH_OPERATION
async def test_a_raw_call_sends_the_same_request(
    operation: Operation, recorder: Recorder, services: Services
) -> None:
    answer = json.dumps(answer_of(operation)) if operation.answer else ""
    recorder.answer_with(operation, answer)
    call = operation.arguments()
    response = await getattr(services.raw, operation.name)(*call.positional, **call.keywords)
    assert as_sent(recorder) == (operation.method, call.path, call.query, call.body)
    assert (response.status, response.content) == (operation.status, answer.encode())


@EACH_OPERATION
async def test_every_property_of_an_answer_comes_through_and_nothing_else(
    operation: Operation, recorder: Recorder, services: Services
) -> None:
    answer = answer_of(operation)
    recorder.answer_with(operation, json.dumps(answer) if operation.answer else "")
    call = operation.arguments(required_only=True)
    value = await getattr(services, operation.name)(*call.positional)
    if operation.answer is None:
        assert value is None
    else:
        assert comparable(to_dict(value)) == expected_value(operation, answer)


@pytest.mark.parametrize(
    ("operation", "example"),
    [
        pytest.param(operation, example, id=f"{operation.name}-{number}")
        for operation in OPERATIONS
        for number, example in enumerate(operation.examples)
    ],
)
async def test_an_answer_that_the_real_server_gave_is_understood(
    operation: Operation, example: str, recorder: Recorder, services: Services
) -> None:
    recorder.answer_with(operation, example)
    call = operation.arguments(required_only=True)
    value = await getattr(services, operation.name)(*call.positional)
    assert comparable(to_dict(value)) == expected_value(operation, json.loads(example))


@EACH_ANSWER
async def test_an_answer_with_nothing_but_identifiers_is_understood(
    operation: Operation, recorder: Recorder, services: Services
) -> None:
    answer = nulled(answer_of(operation))
    recorder.answer_with(operation, json.dumps(answer))
    call = operation.arguments(required_only=True)
    value = await getattr(services, operation.name)(*call.positional)
    assert comparable(to_dict(value)) == expected_value(operation, answer)


@pytest.mark.parametrize(
    ("operation", "member", "part"),
    [
        pytest.param(operation, name, part, id=f"{operation.name}-{name}-{part}")
        for operation in OPERATIONS
        for name, schema in operation.body.get("properties", {}).items()
        for part in schema.get("required", [])
    ],
)
async def test_a_part_of_an_attribute_that_is_required_must_be_given(
    operation: Operation, member: str, part: str, services: Services
) -> None:
    call = operation.arguments()
    del call.keywords[snake(member)][snake(part)]
    with pytest.raises(TypeError, match=snake(part)):
        await getattr(services, operation.name)(*call.positional, **call.keywords)


async def test_shares_may_come_as_one_object_too(recorder: Recorder, services: Services) -> None:
    (operation,) = (op for op in OPERATIONS if op.name == "list_shares")
    answer = answer_of(operation)
    recorder.answer_with(operation, json.dumps(answer[0]))
    assert to_dict(await services.list_shares(42)) == snake_case(answer[0])


async def test_credentials_may_come_as_identifiers_too(
    recorder: Recorder, services: Services
) -> None:
    recorder.answer = '{"id": 42, "credentials": [1, 2]}'
    assert (await services.get(42)).credentials == [1, 2]
