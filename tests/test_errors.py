"""Errors: what they say, what they keep, and what they never tell."""

import copy
import json
import pickle
import re
from http import HTTPStatus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices import errors
from aioservices.errors import (
    APIError,
    ConnectionFailedError,
    CursorFileError,
    DeploymentFailedError,
    DeploymentTimeoutError,
    MissingAPIKeyError,
    RateLimitedError,
    RequestTimeoutError,
    ResponseDecodeError,
    ResponseTooLargeError,
    ServicesError,
    SessionClosedError,
    SessionLoopError,
)
from aioservices.http.api_error import api_error
from aioservices.http.response import decode
from tests.servers.raw import raw_response

WHERE = {"method": "GET", "path": "services/42", "attempts": 3}


def make(status: int, body: bytes = b"", **headers: str) -> APIError:
    return api_error(raw_response(status, body, headers=headers, attempts=3))


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (422, "UnprocessableError"),
        (429, "RateLimitedError"),
        (500, "ServerError"),
        (503, "ServerError"),
        (599, "ServerError"),
        (418, "APIError"),
        (302, "APIError"),
    ],
)
def test_each_status_has_its_class(status: int, name: str) -> None:
    assert type(make(status)).__name__ == name


def test_an_error_body_of_the_api_is_reported() -> None:
    error = make(404, b'{"error":"not_found","errorDescription":"no such service","code":404}')
    assert str(error) == "GET services/42: 404 Not Found: no such service (3 attempts)"
    assert (error.error, error.description, error.code) == ("not_found", "no such service", 404)
    assert (error.status, error.method, error.path, error.attempts) == (
        404,
        "GET",
        "services/42",
        3,
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty"),
        (b"<html><h1>Bad</h1></html>", "the body is an HTML page of 25 bytes"),
        (b"plain words", "the body is of no stated type, 11 bytes"),
        (b'["not", "an object"]', "the body is of no stated type, 20 bytes"),
    ],
)
def test_a_body_that_is_not_the_apis_is_described(body: bytes, said: str) -> None:
    error = make(502, body)
    assert said in str(error)
    assert error.body == body


@pytest.mark.parametrize(
    ("body", "said", "error", "code"),
    [
        (
            {"error": "invalid", "errorDescription": {"name": ["can't be blank"]}, "code": 422},
            '{"name":["can\'t be blank"]}',
            "invalid",
            422,
        ),
        ({"error": "invalid", "errorDescription": ["a", 1]}, '["a",1]', "invalid", None),
        ({"error": "invalid", "errorDescription": "why", "code": 404.0}, "why", "invalid", 404),
        ({"error": "invalid", "errorDescription": "why", "code": 4.5}, "why", "invalid", "4.5"),
        ({"error": "invalid", "errorDescription": "why", "code": "E1"}, "why", "invalid", "E1"),
        ({"error": "invalid", "errorDescription": "why", "code": [1]}, "why", "invalid", "[1]"),
        ({"error": {"why": 1}, "errorDescription": "said"}, "said", '{"why":1}', None),
        ({"error": {"why": 1}}, '{"why":1}', '{"why":1}', None),
        ({"error": True, "errorDescription": None}, "true", "true", None),
        ({"message": "Forbidden"}, "Forbidden", None, None),
        ({"other": 1}, "422", None, None),
    ],
)
def test_an_odd_member_of_an_error_body_costs_none_of_the_others(
    body: object, said: str, error: str | None, code: object
) -> None:
    made = make(422, msgspec.json.encode(body))
    assert said in str(made)
    assert (made.error, made.code) == (error, code)
    assert type(made.code) is type(code)


@pytest.mark.parametrize(
    "member",
    [
        b"1e400",
        b"-1e400",
        b"NaN",
        b"Infinity",
        b"1" * 5000,
        b'"\\ud800"',
        b'["\\udc00x"]',
        b'"\xff"',
    ],
)
@pytest.mark.parametrize("name", [b"code", b"other", b"error"])
def test_a_member_that_is_not_quite_json_costs_none_of_the_others(
    name: bytes, member: bytes
) -> None:
    made = make(422, b'{"errorDescription": "too large", "%s": %s}' % (name, member))
    assert made.description == "too large"
    assert "too large" in str(made)
    assert str(made).encode()  # and it can be printed
    assert f"{made.error}{made.code}".encode()


@given(
    st.sampled_from([True, False]), st.sampled_from(["s3cr3t", 'with"quote', "zwölf", "31415926"])
)
def test_no_member_of_an_error_body_repeats_a_secret(structured: bool, secret: str) -> None:
    number: object = int(secret) if secret.isdecimal() else secret
    member: object = {secret: [number, f"is {secret}"]} if structured else secret
    body = msgspec.json.encode(
        {"error": member, "errorDescription": member, "code": number if structured else secret}
    )
    answer = raw_response(422, body, headers={"Content-Type": f"text/{secret}"})
    made = api_error(answer, secrets=[secret])
    shown = f"{made} {made.error} {made.description} {made.code}"
    assert secret not in shown
    assert json.dumps(secret)[1:-1] not in shown


def test_a_content_type_is_not_quoted_unless_it_is_a_known_one() -> None:
    kinds = {"text/plain": "text/plain", "text/s3cr3t": "of another type than JSON"}
    for kind, said in kinds.items():
        assert f"the body is {said}, 3 bytes" in str(make(502, b"abc", **{"Content-Type": kind}))


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'{"errorDescription": "moved"}'])
def test_a_redirect_that_is_not_followed_says_where_it_points_and_what_to_look_at(
    body: bytes,
) -> None:
    location = "https://user:word@api.example.org:8443/secret/path?token=1#x"
    shown = str(make(302, body, Location=location))
    assert "a redirect to api.example.org that is not followed" in shown
    assert "base_url" in shown
    assert not re.search("user|word|8443|secret|token", shown)
    assert ("moved; " in shown) == (b"moved" in body)


@pytest.mark.parametrize("location", ["", "/elsewhere", "http://[::1", "https://"])
def test_a_redirect_that_points_nowhere_in_particular_says_what_to_look_at(location: str) -> None:
    assert "a redirect that is not followed" in str(make(302, b"{}", Location=location))


@given(
    st.dictionaries(st.text(), st.recursive(st.text() | st.integers(), st.lists), max_size=3),
    st.text(min_size=1),
    st.booleans(),
    st.data(),
)
def test_a_body_that_was_cut_shows_the_beginning_of_its_explanation(
    others: dict[str, object], said: str, ascii: bool, data: st.DataObject
) -> None:
    others.pop("errorDescription", None)
    body = json.dumps({**others, "errorDescription": said, **others}, ensure_ascii=ascii)
    body = body.encode(errors="replace").decode()
    begin = body.index('"errorDescription": "') + len('"errorDescription": "')
    cut = data.draw(st.integers(begin, len(body) - 1))
    shown = make(422, body[:cut].encode()).description
    assert shown is not None
    assert said.encode(errors="replace").decode().startswith(shown.rstrip("…�"))


@given(st.text(), st.data())
def test_a_cut_in_a_secret_leaves_no_part_of_it(before: str, data: st.DataObject) -> None:
    secret = "s3cr3t-key"
    cut = data.draw(st.integers(1, len(secret)))
    body = json.dumps({"errorDescription": before})[:-2] + secret[:cut]
    error = api_error(raw_response(422, body.encode(errors="replace")), secrets=[secret])
    assert not (error.description or "").removesuffix("…").endswith(secret[:cut]) or cut < 2


@given(st.binary(max_size=200), st.integers(300, 599))
def test_any_body_gives_an_error(body: bytes, status: int) -> None:
    assert make(status, body).status == status


def every_error() -> list[ServicesError]:
    return [
        ServicesError("plain"),
        MissingAPIKeyError("no key"),
        SessionClosedError("closed"),
        CursorFileError("cut"),
        SessionLoopError(),
        make(422, b'{"error":"invalid"}', **{"Content-Type": "application/json"}),
        make(429),
        ConnectionFailedError("reset", sent=True, **WHERE),  # type: ignore[arg-type]
        RequestTimeoutError("late", sent=False, **WHERE),  # type: ignore[arg-type]
        ResponseDecodeError("wrong", status=200, field="$.id", body=b"[]", **WHERE),  # type: ignore[arg-type]
        ResponseTooLargeError("huge", status=200, **WHERE),  # type: ignore[arg-type]
        DeploymentTimeoutError(
            service_id=1, deployment_id=2, timeout=600.0, state="pending", state_message="no room"
        ),
        DeploymentFailedError(
            service_id=1, deployment_id=2, state="failed", state_message="why", logs=("a", "b")
        ),
    ]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_survives_pickling_and_copying(error: ServicesError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # type: ignore[no-any-expr, unused-ignore]
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)


def test_the_parametrisation_above_knows_every_class() -> None:
    classes = {
        value
        for name in errors.__all__
        if isinstance(value := getattr(errors, name), type)
        and issubclass(value, errors.ServicesError)
    }
    shown = {cls for error in every_error() for cls in type(error).__mro__}
    assert {cls for cls in classes if not issubclass(cls, APIError)} <= shown


def test_a_rate_limit_error_says_how_long_it_lasts() -> None:
    error = api_error(raw_response(429, headers={"Retry-After": "2.5"}))
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == 2.5


def test_a_decode_error_shows_the_place() -> None:
    with pytest.raises(ResponseDecodeError, match=re.escape("$[0]")) as caught:
        decode(raw_response(content=b'[{"id": "x"}]'), list[dict[str, int]])
    assert caught.value.field == "$[0][...]"


class Thing(msgspec.Struct):
    id: int
    inner: list["Thing"] = []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "$.id"),
        (b'{"id": "x"}', "$.id"),
        (b"[]", "$"),
        (b'{"id": 1, "inner": [{"id": 1}, {}]}', "$.inner[1].id"),
        (b"{", None),
    ],
)
def test_a_decode_error_names_the_field_that_is_wrong_or_missing(
    body: bytes, field: str | None
) -> None:
    with pytest.raises(ResponseDecodeError) as caught:
        decode(raw_response(content=body), Thing)
    assert caught.value.field == field


@given(st.text())
def test_no_message_is_longer_than_it_need_be_or_more_than_a_line(said: str) -> None:
    body = msgspec.json.encode({"errorDescription": said * 100})
    error = make(422, body)
    assert error.description == said * 100
    assert str(error).isprintable()
    assert len(str(error)) < 10_100  # each character may need ten to be shown


def test_a_long_description_is_cut_in_the_message_only() -> None:
    error = make(422, msgspec.json.encode({"errorDescription": "\x1b[31m" + "no " * 1000}))
    phrase = HTTPStatus(422).phrase  # Python 3.13 gave it another one
    assert str(error).startswith(rf"GET services/42: 422 {phrase}: \x1b[31mno no ")
    assert str(error).endswith("… (3 attempts)")
    assert len(str(error)) < 1100
    assert len(error.description or "") == 3005


def test_the_message_of_a_deployment_is_one_line() -> None:
    where = {"service_id": 1, "deployment_id": 2, "state": "failed", "state_message": "a\n\x1bb"}
    for error in (DeploymentFailedError(**where), DeploymentTimeoutError(**where, timeout=1)):  # type: ignore[arg-type]
        assert str(error).endswith(r": a \x1bb")
        assert error.state_message == "a\n\x1bb"
