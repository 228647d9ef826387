"""Forwards stored lines to an OpenTelemetry collector: OTLP over HTTP, protobuf, gzip.

Delivery is at least once. A record that is sent again has the same ``log.record.uid``, so that the
receiver can recognize it. The timestamp of a record is the line's time plus its copy number in
nanoseconds: some receivers, such as Loki, drop identical lines with the same timestamp.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Self

import aiohttp
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from yarl import URL

from aioservices._version import __version__
from aioservices.http.failure import explain
from aioservices.http.response import retry_after_of
from aioservices.stores.errors import ForwardError, LinesRefusedError, StoreConfigError
from aioservices.stores.record import StoredEntry, to_micros
from aioservices.validation import validate_seconds

from .protocol import PartlyRejected

__all__ = ["OTLPForwarder", "export_request"]

_PATH = "/v1/logs"
_TIMEOUT = 30.0
_REFUSED = (400, 413)  # statuses that concern this batch only
_BUSY = (429, 502, 503, 504)
_LONGEST_ANSWER = 1 << 16  # bytes
_LONGEST_TEXT = 300  # characters of a response that are quoted
_TYPE = "application/x-protobuf"

_SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


class OTLPForwarder:
    """Sends lines to an OpenTelemetry collector.

    Parameters
    ----------
    url : str
        Its address, such as ``http://localhost:4318``; without a path, ``/v1/logs`` is added.
    headers : mapping of str to str, optional
        Sent with every request, for example for authentication.
    timeout : float, default 30.0
        Seconds that a request may take.
    """

    lines_at_once = 1000

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._url = _endpoint(url)
        self._headers = {
            **(headers or {}),
            "Content-Type": _TYPE,
            "Content-Encoding": "gzip",
            "User-Agent": f"aioservices/{__version__}",
        }
        self._timeout = aiohttp.ClientTimeout(total=validate_seconds(timeout, "timeout"))
        self._http: aiohttp.ClientSession | None = None
        # The name is shown, so it must not contain a password or a query with a key.
        self.name = f"otlp:{self._url.with_user(None).with_query(None).with_fragment(None)}"

    async def send(self, lines: Sequence[StoredEntry]) -> PartlyRejected | None:
        """Send lines in one request."""
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=self._timeout, auto_decompress=True)
        body = gzip.compress(export_request(lines).SerializeToString(), compresslevel=5, mtime=0)
        try:
            async with self._http.post(
                self._url, data=body, headers=self._headers, allow_redirects=False
            ) as answer:
                return _outcome(answer, await _read_start(answer))
        except TimeoutError as exc:
            raise ForwardError(f"no answer within {self._timeout.total:g} s") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise ForwardError(explain(exc)) from exc

    async def aclose(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


async def _read_start(answer: aiohttp.ClientResponse) -> bytes:
    """Read a response, up to a limit."""
    body = bytearray()
    async for chunk in answer.content.iter_chunked(_LONGEST_ANSWER):
        body += chunk
        if len(body) > _LONGEST_ANSWER:
            answer.close()
            break
    return bytes(body)


def _endpoint(url: str) -> URL:
    try:
        found = URL(url)
    except ValueError:
        found = URL()
    if found.scheme not in {"http", "https"} or not found.host:
        raise StoreConfigError(
            "otlp: needs the URL of a collector, as in otlp:http://localhost:4318"
        )
    return found if found.path.rstrip("/") else found.with_path(_PATH)


def _outcome(answer: aiohttp.ClientResponse, body: bytes) -> PartlyRejected | None:
    """Interpret a response."""
    status = answer.status
    if status // 100 == 2:
        return _partly_rejected(answer, body)
    text = f"{status} {answer.reason}"
    if quoted := _quoted(answer, body):
        text = f"{text}: {quoted}"
    if status in _REFUSED:
        raise LinesRefusedError(text)
    if status in _BUSY or status >= 500:
        raise ForwardError(text, retry_after=retry_after_of(answer.headers))
    # A wrong address or password, or a redirect: the lines are not at fault, and waiting is safe.
    raise ForwardError(text, needs_attention=True, retry_after=retry_after_of(answer.headers))


def _partly_rejected(answer: aiohttp.ClientResponse, body: bytes) -> PartlyRejected | None:
    if not body:
        return None
    response = ExportLogsServiceResponse()
    try:
        response.ParseFromString(body)
    except DecodeError:
        return None  # the lines were accepted, although the response cannot be decoded
    partial = response.partial_success
    if partial.rejected_log_records <= 0:
        return None
    return PartlyRejected(
        count=partial.rejected_log_records, reason=partial.error_message or "no reason given"
    )


def _quoted(answer: aiohttp.ClientResponse, body: bytes) -> str:
    """Return the explanation in an error response, if it is text."""
    if answer.content_type == _TYPE:
        # google.rpc.Status: the message is its second field; the printable part is enough.
        body = body[2:]
    text = body[:_LONGEST_TEXT].decode("utf-8", "replace")
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


# Encoding; pure


def export_request(lines: Iterable[StoredEntry]) -> ExportLogsServiceRequest:
    """Encode lines as a request, with one resource for each deployment."""
    request = ExportLogsServiceRequest()
    scopes: dict[tuple[int, int], ScopeLogs] = {}
    for line in lines:
        key = (line.service_id, line.deployment_id)
        if key not in scopes:
            scopes[key] = _scope(request.resource_logs.add(), line)
        _fill(scopes[key].log_records.add(), line)
    return request


def _scope(resource: ResourceLogs, line: StoredEntry) -> ScopeLogs:
    resource.resource.attributes.extend(
        [
            _attribute("service.name", line.service_name or str(line.service_id)),
            _attribute("deployment.id", str(line.deployment_id)),
            _attribute("civis.service.id", str(line.service_id)),
        ]
    )
    scope = resource.scope_logs.add()
    scope.scope.name = "aioservices"
    scope.scope.version = __version__
    return scope


def _fill(record: LogRecord, line: StoredEntry) -> None:
    # Unsigned: a line from before 1970 gets no timestamp.
    record.time_unix_nano = max(0, to_micros(line.created_at) * 1000 + line.copy)
    record.observed_time_unix_nano = max(0, to_micros(line.kept_at) * 1000)
    if line.message is not None:
        record.body.string_value = line.message
    if line.severity is not None:
        record.severity_number = line.severity  # type: ignore[assignment]
        record.severity_text = _SEVERITIES[(line.severity - 1) // 4]
    attributes = record.attributes
    attributes.add(key="log.record.uid").value.string_value = line.line_id
    if line.stream is not None:
        attributes.append(_common_attribute("log.iostream", line.stream))
    if line.source is not None:
        attributes.append(_common_attribute("civis.log.source", line.source))


@lru_cache(64)
def _common_attribute(key: str, value: str) -> KeyValue:
    """Make an attribute that nearly all lines have; cached, because copying is cheaper."""
    return _attribute(key, value)


def _attribute(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
