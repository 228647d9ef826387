"""A receiver of OTLP logs, made from the official protobuf definitions."""

from __future__ import annotations

import gzip
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

_TYPE = "application/x-protobuf"


class OTLPReceiver:
    """Receives log records, unless another answer was set.

    Attributes
    ----------
    answers : deque of callable
        Each makes the answer to one request, instead of taking its records.
    refuses : callable
        For which records a request is refused with 400.
    longest : int
        Bytes of the largest body; larger ones are answered with 413.
    """

    def __init__(self) -> None:
        self.url = ""
        self.records: list[LogRecord] = []
        self.resources: list[dict[str, str]] = []  # of each record
        self.requests: list[web.Request] = []
        self.answers: deque[Callable[[], web.Response]] = deque()
        self.refuses: Callable[[LogRecord], bool] = lambda _: False
        self.longest = 1 << 30
        self.is_down: Callable[[], web.Response] | None = None

    @property
    def uids(self) -> list[str]:
        """The identifiers of the records, in their order."""
        return [attribute(record, "log.record.uid") for record in self.records]

    @property
    def bodies(self) -> list[str]:
        """The texts of the records, in their order."""
        return [record.body.string_value for record in self.records]

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a request."""
        assert request.path == "/v1/logs"
        assert request.content_type == _TYPE
        export, size = await read_export(request)
        self.requests.append(request)
        if self.is_down is not None:
            return self.is_down()
        if self.answers:
            answer = self.answers.popleft()()
            if answer.status != 200:
                return answer
            self._take(export)
            return answer
        if size > self.longest:
            return web.Response(status=413)
        if any(self.refuses(record) for record in records_in(export)):
            return web.Response(status=400, text="a record is not valid")
        self._take(export)
        return web.Response(content_type=_TYPE)

    def _take(self, export: ExportLogsServiceRequest) -> None:
        for resource in export.resource_logs:
            attributes = {
                each.key: each.value.string_value for each in resource.resource.attributes
            }
            for scope in resource.scope_logs:
                self.records += scope.log_records
                self.resources += [attributes] * len(scope.log_records)


async def read_export(request: web.Request) -> tuple[ExportLogsServiceRequest, int]:
    """Read what a request holds, and give its size in bytes, too."""
    body = await request.read()
    if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    export = ExportLogsServiceRequest()
    export.ParseFromString(body)
    return export, len(body)


def records_in(export: ExportLogsServiceRequest) -> list[LogRecord]:
    """Return the records of a request."""
    return [
        record
        for resource in export.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def attribute(record: LogRecord, key: str) -> str:
    """Return an attribute of a record."""
    return next(each.value.string_value for each in record.attributes if each.key == key)


def partial_success(count: int, message: str) -> web.Response:
    """Make the answer of one who took all records but some."""
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = count
    response.partial_success.error_message = message
    return web.Response(body=response.SerializeToString(), content_type=_TYPE)


@asynccontextmanager
async def otlp_receiver(receiver: OTLPReceiver | None = None) -> AsyncGenerator[OTLPReceiver]:
    """Run a receiver: the one that is given, or an ordinary one."""
    receiver = OTLPReceiver() if receiver is None else receiver
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
