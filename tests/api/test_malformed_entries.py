"""Listings with malformed entries: each of these is left out, and nothing else."""

import json
import pickle
import warnings
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices import MalformedEntryWarning, ResponseDecodeError, Services, ServiceSummary
from aioservices.http.response import decode_lenient
from tests.servers.hostile import Request, Writer, answer, hostile
from tests.servers.raw import raw_response

KEY = "very-secret-key"


MALFORMED = [
    ({"id": 5, "updatedAt": ""}, 5, "updatedAt"),
    ({"id": 5, "updatedAt": "2026-01-31T12:00:00"}, 5, "updatedAt"),
    ({"id": 5, "name": 12}, 5, "name"),
    ({"id": 5, "currentDeployment": {}}, 5, "currentDeployment.deploymentId"),
    ({"id": 5, "currentDeployment": {"deploymentId": 1, "createdAt": "now"}}, 5,
     "currentDeployment.createdAt"),
    ({"name": "no identifier"}, None, "id"),
    ({"id": "5"}, None, "id"),
    ({"id": None}, None, "id"),
    (None, None, None),
    ([], None, None),
    ("a service", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "item_id", "field"), MALFORMED)
async def test_a_malformed_service_is_reported_and_the_others_come(
    entry: object, item_id: int | None, field: str | None
) -> None:
    page = answer([{"id": 1}, entry, {"id": 2}], headers={"X-Pagination-Total-Pages": "1"})
    async with hostile(page) as server, Services(KEY, base_url=server.url) as services:
        with pytest.warns(MalformedEntryWarning) as caught:
            assert [each.id async for each in services.list()] == [1, 2]
        with pytest.warns(MalformedEntryWarning):
            assert [each.id for each in await services.list()] == [1, 2]
    (warning,) = [each.message for each in caught]
    assert isinstance(warning, MalformedEntryWarning)
    assert (warning.method, warning.path) == ("GET", "services")
    assert (warning.item_id, warning.field) == (item_id, field)
    assert str(warning).startswith("GET services: ")
    assert pickle.loads(pickle.dumps(warning)).item_id == item_id


Call = Callable[[Services], Awaitable[Sequence[Any]]]


@pytest.mark.parametrize(
    ("call", "good"),
    [
        (lambda services: services.list(), {"id": 1}),
        (lambda services: services.list_deployments(7), {"deploymentId": 1}),
        (lambda services: services.list_deployments_logs(7, 1), {"message": "a line"}),
        (lambda services: services.list_dependencies(7), {"id": 1}),
        (lambda services: services.list_projects(7), {"id": 1}),
        (lambda services: services.list_tokens(7), {"id": 1}),
    ],
)
async def test_every_call_that_gives_a_list_leaves_out_only_what_is_malformed(
    call: Call, good: object
) -> None:
    async with (
        hostile(answer([good, None, good])) as server,
        Services(KEY, base_url=server.url) as services,
    ):
        with pytest.warns(MalformedEntryWarning, match="an entry is left out"):
            assert len(await call(services)) == 2


async def test_a_page_of_nothing_but_malformed_entries_does_not_end_a_listing() -> None:
    async def pages(request: Request, writer: Writer) -> None:
        (number,) = parse_qs(urlsplit(request.target).query)["page_num"]
        page = {"1": [{"id": 1}], "2": [None], "3": [{"id": 3}]}.get(number, [])
        await answer(page)(request, writer)

    async with hostile(pages) as server, Services(KEY, base_url=server.url) as services:
        with pytest.warns(MalformedEntryWarning):
            assert [each.id async for each in services.list()] == [1, 3]


@pytest.mark.parametrize("body", [{"id": 1}, None, "[]", 3])
async def test_what_is_no_list_at_all_is_an_error(body: object) -> None:
    async with (
        hostile(answer(json.dumps(body).encode())) as server,
        Services(KEY, base_url=server.url) as services,
    ):
        with pytest.raises(ResponseDecodeError, match="does not match"):
            await services.list()


async def test_text_that_is_not_utf_8_costs_the_entry_that_it_is_in() -> None:
    body = b'[{"id": 1}, {"id": 2, "name": "\xff"}, {"id": 3}]'
    async with (
        hostile(answer(body)) as server,
        Services(KEY, base_url=server.url) as services,
    ):
        with pytest.warns(MalformedEntryWarning):
            assert [each.id for each in await services.list()] == [1, 3]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-9, 9) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "updatedAt", "currentDeployment", "user", "x"]), inner
        )
    ),
    max_leaves=6,
)


@given(st.lists(st.booleans() | values, max_size=6))
def test_whatever_is_between_them_every_good_entry_is_decoded(entries: list[object]) -> None:
    good = [{"id": number} for number, each in enumerate(entries) if each is True]
    body = [
        {"id": number} if each is True else [each] for number, each in enumerate(entries)
    ]  # an array is no service
    decoded, malformed = decode_lenient(
        raw_response(content=json.dumps(body).encode()), ServiceSummary
    )
    assert [{"id": each.id} for each in decoded] == good
    assert len(decoded) + len(malformed) == len(entries)


@given(st.lists(values, max_size=6))
def test_any_json_array_is_decoded_without_an_error(entries: list[object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # decoding itself issues none
        decoded, malformed = decode_lenient(
            raw_response(content=json.dumps(entries).encode()), ServiceSummary
        )
    assert len(decoded) + len(malformed) == len(entries)
