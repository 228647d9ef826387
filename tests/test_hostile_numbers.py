"""No number that a caller may give ends in anything but an argument error that names it, at once.

The parameters are read from the signatures: one that is added is tried, too.
"""

import inspect
import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aioservices import CursorFile, RetryPolicy, Services
from aioservices.emulator import Delay, Emulator, LogBehaviour, Reset, Respond, Stall
from aioservices.fleet.collecting import CollectOptions
from aioservices.stores import PostgresStore, Retention, SQLiteStore
from aioservices.stores.forward import JSONLForwarder
from aioservices.stores.forward.otlp import OTLPForwarder

HOSTILE: Mapping[str, object] = {
    "10**400": 10**400,
    "10**5000": 10**5000,  # more digits than Python writes
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "-1": -1,
    "True": True,
    "'1'": "1",
    "None": None,
    "b'1'": b"1",
}

# What the documentation allows of these; None is allowed where the annotation says so.
ALLOWED: Mapping[str, set[str]] = {
    "RetryPolicy.max_elapsed": {"inf"},
    "Services.wait_until_running.timeout": {"inf"},
    "Services.deploy_many.timeout": {"inf"},
    "LogBehaviour.utc_offset": {"-1"},  # minutes, also west of Greenwich
    "Emulator.seed": {"-1", "10**400", "10**5000"},  # any integer
    "Emulator.fault.seed": {"-1", "10**400", "10**5000"},
    "Emulator.log.at": {"-1"},  # nanoseconds, also before 1970
}
_VARIABLES = {"-1", "True", "'1'", "None"}  # what an environment variable may be


class Callee(NamedTuple):
    """Something that takes numbers, and the other arguments that it needs."""

    name: str
    call: Callable[..., object]
    needed: Mapping[str, object] = {}


def session() -> Services:
    """Make a session whose requests go nowhere: one that is sent is an error of another kind."""
    return Services(
        "key", base_url="http://127.0.0.1:9", retry=RetryPolicy(max_attempts=1), timeout=1.0
    )


def callees(directory: Path) -> Iterator[Callee]:
    """Return everything public that takes a number."""
    services = session()
    yield Callee("Services", Services, {"api_key": "key"})
    for name, method in inspect.getmembers(services, callable):
        if not name.startswith("_") and name != "raw":
            yield Callee(f"Services.{name}", method)
    yield Callee("RetryPolicy", RetryPolicy)
    yield Callee("CursorFile", CursorFile, {"path": directory / "cursor"})
    yield Callee("CollectOptions", CollectOptions)
    yield Callee("Retention", Retention)
    yield Callee("PostgresStore", PostgresStore, {"dsn": _DSN})
    yield Callee("PostgresStore.read", PostgresStore(_DSN).read)
    yield Callee("SQLiteStore.read", SQLiteStore(directory / "lines.db").read)
    yield Callee("JSONLForwarder", JSONLForwarder, {"path": directory / "lines.jsonl"})
    yield Callee("OTLPForwarder", OTLPForwarder, {"url": "http://127.0.0.1:9"})
    emulator = Emulator(1)
    yield Callee("Emulator", Emulator)
    for name in ("add_service", "remove_service", "deploy", "set_state", "log"):
        yield Callee(f"Emulator.{name}", getattr(emulator, name))
    yield Callee("Emulator.fault", emulator.fault, {"effect": Reset()})
    yield Callee("LogBehaviour", LogBehaviour)
    yield Callee("Delay", Delay)
    yield Callee("Stall", Stall)
    yield Callee("Respond", Respond, {"status": 503})


_DSN = "postgresql://127.0.0.1/test"
_USUAL: Mapping[str, object] = {
    "store": object(),
    "ids": [1],
    "user_ids": [1],
    "group_ids": [1],
    "permission_level": "read",
    "include_dependencies": False,
    "name": "a",
    "message": "a",
    "state": "running",
}


def is_numeric(parameter: inspect.Parameter) -> bool:
    """Return whether a parameter takes a number, alone or among others."""
    annotation = inspect.formatannotation(parameter.annotation)
    return bool(re.search(r"\b(int|float)\b", annotation)) and "Callable" not in annotation


def hostile_arguments(where: str, parameter: inspect.Parameter) -> Iterator[tuple[str, object]]:
    """Return what the parameter does not take, each with a text that shows it."""
    annotation = inspect.formatannotation(parameter.annotation)
    for shown, value in HOSTILE.items():
        is_none = value is None
        if shown not in ALLOWED.get(where, set()) and not (is_none and "None" in annotation):
            yield shown, value
        if re.search("Iterable|Sequence", annotation):
            yield f"[{shown}]", [value]
        elif "Mapping[str" in annotation and shown not in _VARIABLES:
            yield f"{{'A': {shown}}}", {"A": value}
        elif "Mapping[int" in annotation:
            yield f"{{{shown}: ...}}", {value: None}


async def call(callee: Callee, **arguments: object) -> None:
    """Call something, and take the first step of what does nothing before that."""
    parameters = inspect.signature(callee.call).parameters
    usual = {
        name: _USUAL.get(name, 1)
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and not parameter.kind.name.startswith("VAR_")
    }
    result = callee.call(**{**usual, **callee.needed, **arguments})
    if isinstance(result, AsyncGenerator):
        await anext(result)
    elif isinstance(result, Awaitable):
        await result


async def test_every_number_that_makes_no_sense_is_an_argument_error_that_names_it(
    tmp_path: Path,
) -> None:
    tried: set[str] = set()
    faults: list[str] = []
    for callee in callees(tmp_path):
        for name, parameter in inspect.signature(callee.call).parameters.items():
            if not is_numeric(parameter):
                continue
            where = f"{callee.name}.{name}"
            tried.add(where)
            for shown, value in hostile_arguments(where, parameter):
                try:
                    await call(callee, **{name: value})
                except (TypeError, ValueError) as error:
                    if not re.search(rf"\b{name}\b", str(error)):
                        faults.append(f"{where} = {shown}: {error!r:.150}")
                except Exception as error:
                    faults.append(f"{where} = {shown}: {error!r:.150}")
                else:
                    faults.append(f"{where} = {shown}: taken")
    assert not faults
    assert len(tried) > 120  # the signatures were read
    assert {"Services.max_connections", "Services.patch.replicas", "RetryPolicy.base_delay"} < tried


@pytest.mark.parametrize("shown", ["10**400", "10**5000", "nan", "inf"])
async def test_a_number_that_cannot_be_part_of_a_url_is_named(shown: str) -> None:
    number: Any = HOSTILE[shown]
    async with session() as services:
        with pytest.raises(ValueError, match=r"^age must be "):
            await services.request("GET", "people", params={"age": number})


@pytest.mark.parametrize("shown", HOSTILE)
async def test_a_number_inside_an_attribute_is_named_with_its_place(shown: str) -> None:
    times: Any = {"scheduled_days": [1], "scheduled_hours": [2, HOSTILE[shown]]}
    schedule: Any = {"runtime_plan": "specific_times", "recurrences": [times]}
    async with session() as services:
        with pytest.raises((TypeError, ValueError), match=r"schedule.*hours\[1\] must be "):
            await services.patch(1, schedule=schedule)
