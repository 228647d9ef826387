"""The page at `/`, on which a person sees and controls the emulator.

Theory of operation. The emulator listens on loopback only, but every page that is open in a
browser can send requests to loopback, and so can every user of the machine. Therefore all
that shows or changes the state requires a token, which is printed where the emulator was
started. The token is in the fragment of the printed address, which browsers never send; the
page's script puts it into a header, which a page of another origin cannot do. Two more checks
come first: `Host` must be a name of loopback, so that no foreign name can be pointed at
127.0.0.1, and `Origin` must be this server. What needs no token (`/` itself, its style and
its script) is the same for everybody and holds no data.

Requests to the page are not requests to the API: they take part in no fault, no rate limit
and no record.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hmac import compare_digest
from importlib.resources import files
from itertools import islice
from secrets import token_urlsafe
from threading import RLock

import msgspec
from aiohttp import web
from msgspec import Struct

from aioservices.emulator.deployments import FINAL_STATES
from aioservices.emulator.faults import Cut, Delay, Effect, Fault, Faults, Reset, Respond
from aioservices.emulator.record import RecordedRequest
from aioservices.emulator.routes import Api, Reply, error_reply
from aioservices.emulator.state import APIError, Service

__all__ = ["SWITCHES", "Page", "Switch"]

_PREFIX = "/_emulator/"
_ASSETS = {
    "/": ("page.html", "text/html; charset=utf-8"),
    f"{_PREFIX}page.css": ("page.css", "text/css; charset=utf-8"),
    f"{_PREFIX}page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SHOWN_SERVICES = 200
_SHOWN_REQUESTS = 40
_SHOWN_LINES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A fault that can be switched on from the page.

    Parameters
    ----------
    name
        Names it in the page's requests.
    label, hint
        The texts of the page.
    effect
        What happens.
    method
        Only to requests with this HTTP method.
    probability
        The probability of affecting each request.
    """

    name: str
    label: str
    hint: str
    effect: Effect
    method: str | None = None
    probability: float = 1.0

    def fault(self) -> Fault:
        """Make the fault."""
        return Fault(
            self.effect,
            method=self.method,
            path=None,
            skip=0,
            times=None,
            probability=self.probability,
            seed=0,
        )


SWITCHES = (
    Switch(name="outage", label="Outage", hint="Every connection is reset", effect=Reset()),
    Switch(
        name="unavailable",
        label="Unavailable",
        hint="Every request is answered 503",
        effect=Respond(503),
    ),
    Switch(
        name="rate-limit",
        label="Rate limit",
        hint="Every request is answered 429: try again in 2 s",
        effect=Respond(429, retry_after=2),
    ),
    Switch(name="slow", label="Slow", hint="Every answer takes 2 s longer", effect=Delay(2.0)),
    Switch(
        name="proxy",
        label="Bad proxy",
        hint="3 of 10 requests are answered 502 with a page of HTML",
        effect=Respond(502, body="html"),
        probability=0.3,
    ),
    Switch(
        name="cut",
        label="Cut answers",
        hint="3 of 10 answers end in the middle",
        effect=Cut(),
        probability=0.3,
    ),
    Switch(
        name="lost",
        label="Lost answers",
        hint="Every second POST takes effect, and is answered 504",
        effect=Respond(504, acts=True),
        method="POST",
        probability=0.5,
    ),
)
"""The faults that the page offers."""


class _Service(Struct, rename="camel"):
    id: int
    name: str
    state: str
    message: str
    deployment_id: int | None
    is_program: bool
    archived: bool
    can_stop: bool


class _Switch(Struct, rename="camel"):
    name: str
    label: str
    hint: str
    hits: int
    on: bool


class _Fault(Struct, rename="camel"):
    id: int
    effect: str
    requests: str
    hits: int


class _Request(Struct, rename="camel"):
    at: float
    method: str
    path: str
    status: int | None
    milliseconds: float


class _Overview(Struct, rename="camel"):
    services: list[_Service]
    matching: int
    total: int
    running: int
    switches: list[_Switch]
    faults: list[_Fault]
    requests: list[_Request]
    answered: int


class _LogView(Struct, rename="camel"):
    service_id: int
    name: str
    deployment_id: int | None
    version: str
    lines: list[msgspec.Raw] | None


class Page:
    """Answers the requests of the page.

    Parameters
    ----------
    api
        The endpoints, with the state that the page shows and changes.
    faults
        The faults that are switched on.
    requests, statuses
        The record of the requests to the API.
    clock
        Gives the time, in nanoseconds since the epoch.
    lock
        Held while the state is read or changed.
    on_change
        Called after the state was changed.
    """

    def __init__(
        self,
        api: Api,
        faults: Faults,
        requests: deque[RecordedRequest],
        statuses: Counter[int | None],
        *,
        clock: Callable[[], int],
        lock: RLock,
        on_change: Callable[[], None],
    ) -> None:
        self.token = token_urlsafe(24)
        self._api = api
        self._faults = faults
        self._requests = requests
        self._statuses = statuses
        self._clock = clock
        self._lock = lock
        self._on_change = on_change
        self._switched: dict[str, Fault] = {}

    @staticmethod
    def has(path: str) -> bool:
        """Return whether a path belongs to the page."""
        return path == "/" or path.startswith(_PREFIX)

    def respond(self, request: web.BaseRequest) -> web.Response:
        """Answer one request."""
        reply = self._reply(request)
        headers = {**_HEADERS, "Content-Type": reply.content_type, **reply.headers}
        return web.Response(status=reply.status, body=reply.content, headers=headers)

    def _reply(self, request: web.BaseRequest) -> Reply:
        host = request.headers.get("Host", "")
        if not _is_loopback(host):
            return error_reply(403, "The page is only served to a browser on this machine")
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            return error_reply(403, "The page takes no requests from pages of other origins")
        path, method = request.rel_url.raw_path, request.method
        if path in _ASSETS:
            if method not in {"GET", "HEAD"}:
                return error_reply(405, "Only GET can be used here", {"Allow": "GET"})
            name, content_type = _ASSETS[path]
            return Reply(200, _asset(name), content_type=content_type)
        if not self._is_known(request.headers.get("Authorization", "")):
            return error_reply(403, "The token of the page is missing or wrong")
        if method != "GET" and origin is None:
            return error_reply(403, "Changes are only taken from the page itself")
        segments = path.removeprefix(_PREFIX).split("/")
        with self._lock:
            try:
                return self._route(method, segments, request.rel_url.query)
            except APIError as error:
                return error_reply(error.status, error.description)

    def _route(self, method: str, segments: list[str], query: Mapping[str, str]) -> Reply:
        match method, segments:
            case "GET", ["overview"]:
                return _json(self._overview(query.get("search", "")))
            case "GET", ["logs", number] if _is_number(number):
                service = self._api.state.service(int(number))
                return _json(self._log(service, query.get("after", "")))
            case "POST", ["services", number, "deploy" | "stop" as action] if _is_number(number):
                service = self._api.state.service(int(number))
                if action == "deploy":
                    self._api.state.deploy(self._clock(), service)
                else:
                    self._stop(service)
                self._on_change()
                return Reply(204)
            case "POST" | "DELETE", ["switches", name]:
                return self._switch(name, on=method == "POST")
            case "DELETE", ["faults", number] if _is_number(number):
                return self._remove_fault(int(number))
            case _:
                return error_reply(404, "There is nothing here")

    def _overview(self, search: str) -> _Overview:
        now = self._clock()
        services = self._api.state.services
        wanted = search.casefold()
        matching = [
            service
            for service in services.values()
            if wanted in service.details.name.casefold() or wanted == str(service.details.id)
        ]
        switched = {fault.id: name for name, fault in self._switched.items()}
        active = self._faults.active()
        recent = islice(reversed(self._requests), _SHOWN_REQUESTS)
        return _Overview(
            services=[_service(service, now) for service in matching[:_SHOWN_SERVICES]],
            matching=len(matching),
            total=len(services),
            running=sum(service.is_running(now) for service in services.values()),
            switches=[self._switch_view(switch) for switch in SWITCHES],
            faults=[_fault(fault) for fault in active if fault.id not in switched],
            requests=[
                _Request(r.time, r.method, r.path, r.status, round(r.elapsed * 1000, 1))
                for r in recent
            ],
            answered=self._statuses.total(),
        )

    def _log(self, service: Service, after: str) -> _LogView:
        deployment = service.current
        view = _LogView(service.details.id, service.details.name, None, "none", None)
        if deployment is None:
            view.lines = []
            return view
        now = self._clock()
        deployment.write_due_lines(now, self._api.logs)
        lines = deployment.log.newest(now, _SHOWN_LINES)
        view.deployment_id = deployment.id
        view.version = f"{deployment.id}-{deployment.log.version}"
        if view.version != after:
            view.lines = [msgspec.Raw(line) for line in lines]
        return view

    def _stop(self, service: Service) -> None:
        now = self._clock()
        if service.current is None or service.current.has_ended(now):
            raise APIError(409, f"Service {service.details.id} does not run")
        self._api.state.move(now, service.current, "terminated", "Stopped on the page")

    def _switch(self, name: str, *, on: bool) -> Reply:
        switch = next((switch for switch in SWITCHES if switch.name == name), None)
        if switch is None:
            raise APIError(404, "There is no such switch")
        previous = self._switched.pop(name, None)
        if previous is not None:
            previous.remove()
        if on:
            self._switched[name] = switch.fault()
            self._faults.add(self._switched[name])
        return Reply(204)

    def _switch_view(self, switch: Switch) -> _Switch:
        fault = self._switched.get(switch.name)
        hits = 0 if fault is None else fault.hits
        return _Switch(switch.name, switch.label, switch.hint, hits, fault is not None)

    def _remove_fault(self, number: int) -> Reply:
        for fault in self._faults.active():
            if fault.id == number:
                fault.remove()
                return Reply(204)
        raise APIError(404, "There is no such fault")

    def _is_known(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and compare_digest(
            token.encode(errors="replace"), self.token.encode()
        )


def _service(service: Service, now: int) -> _Service:
    current = service.current
    details = service.details
    state, message = "not deployed", ""
    if current is not None:
        phase = current.phase(now)
        state, message = phase.state or "starting", phase.message or ""
    return _Service(
        id=details.id,
        name=details.name,
        state=state,
        message=message,
        deployment_id=None if current is None else current.id,
        is_program=service.program is not None,
        archived=details.archived,
        can_stop=current is not None and state not in FINAL_STATES,
    )


def _fault(fault: Fault) -> _Fault:
    method, path = fault.method or "all methods", fault.path or "all paths"
    return _Fault(fault.id, str(fault.effect), f"{method}, {path}", fault.hits)


def _is_loopback(host: str) -> bool:
    """Return whether the browser knows this server by a name of loopback, on any port."""
    return host.partition(":")[0] in {"127.0.0.1", "localhost"}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _json(value: object) -> Reply:
    return Reply(200, msgspec.json.encode(value))


@cache
def _asset(name: str) -> bytes:
    return files("aioservices.emulator").joinpath("assets", name).read_bytes()
