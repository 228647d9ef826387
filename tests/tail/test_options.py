"""The options of a tail are declared once; signatures and configurations repeat no other value."""

import inspect
from collections.abc import Callable

import pytest

from aioservices import Services
from aioservices.collect.config import CollectConfig
from aioservices.fleet.collecting import CollectOptions
from aioservices.tail.options import PollOptions, TailOptions

DECLARED = inspect.signature(TailOptions).parameters
_MANY = CollectOptions().limit  # each of many tails asks for less at once


@pytest.mark.parametrize(
    ("place", "limit"),
    [
        (Services.tail_logs, PollOptions().limit),
        (Services.watch_logs, _MANY),
        (Services.collect, _MANY),
        (CollectConfig, _MANY),
    ],
)
def test_defaults_are_those_that_were_declared(place: Callable[..., object], limit: int) -> None:
    repeated = inspect.signature(place).parameters
    shared = repeated.keys() & DECLARED.keys() - {"limit", "service_id"}
    assert shared >= set(PollOptions.__struct_fields__) - {"limit"}
    assert {name: repeated[name].default for name in shared} == {
        name: DECLARED[name].default for name in shared
    }
    assert "limit" not in repeated or repeated["limit"].default == limit
