"""The session: every endpoint over one set of connections."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, get_args

import aiohttp
import anyio
import msgspec

from aioservices.api.endpoints import Endpoints
from aioservices.api.models import Deployment, ServiceSummary
from aioservices.api.pagination import Paginator
from aioservices.api.params import encode
from aioservices.api.raw import RawServices
from aioservices.api.search import ServiceSearch
from aioservices.api.states import ArchivalStatus, StatusFilter
from aioservices.http.connections import Connections
from aioservices.http.options import (
    Attempt,
    AttemptHook,
    AttemptState,
    Options,
    RequestInfo,
    ResponseInfo,
    chain_hooks,
    validate_hook,
)
from aioservices.http.ratelimit import RateLimit
from aioservices.http.response import RawResponse
from aioservices.http.retry import RetryPolicy
from aioservices.http.secret import Hidden, SecretStr
from aioservices.http.transport import Transport
from aioservices.http.url import QueryValue, validate_path

from .concurrency import BackgroundTasks
from .errors import SessionClosedError
from .validation import (
    parse_timestamp,
    validate_choice,
    validate_int,
    validate_ints,
    validate_optional_seconds,
    validate_seconds,
    validate_type,
)

# Tails and what is for many services are imported when they are asked for: single calls do without.
if TYPE_CHECKING:
    from aioservices.fleet.deploy import DeployRun
    from aioservices.fleet.watch import LogWatch
    from aioservices.fleet.watcher import Sink
    from aioservices.stores import Retention, Store
    from aioservices.stores.forward import Forwarder
    from aioservices.tail import EventHook, LogCursor, LogTail
    from aioservices.tail.budget import LineBudget
    from aioservices.tail.fetcher import Look
    from aioservices.tail.options import TailOptions
    from aioservices.tail.scan import ServerProfile
    from aioservices.tail.turns import TurnQueue

__all__ = ["Services"]

RequestObserverT = TypeVar("RequestObserverT", bound=Callable[[RequestInfo], object])
InfoT = TypeVar("InfoT", RequestInfo, ResponseInfo)
ResponseObserverT = TypeVar("ResponseObserverT", bound=Callable[[ResponseInfo], object])

_DEFAULTS = Options()
_LONGEST_SALT = 64  # bytes


class Services(Endpoints):
    """A session with the services API.

    Use it in `async with`, or close it with :meth:`aclose`. One session serves any number of
    tasks of one event loop at once; they share its connections, its rate limit and what a 429
    asks for.

    Parameters
    ----------
    api_key : str, optional
        The API key. Default: the environment variable `CIVIS_API_KEY`.
    base_url : str, optional
        Where the API is. Default: the environment variable `CIVIS_API_ENDPOINT`, else
        `https://api.civisanalytics.com/`.
    timeout : float or None, default 60.0
        Seconds that an attempt may take, from connecting to the last byte. None for no bound.
    retry : RetryPolicy, optional
        How often, and for how long, a failed call is repeated where that is safe.
    max_connections : int, default 100
        The most requests under way at once; the others wait for their turn.
    user_agent : str, optional
        Put before the library's own name in `User-Agent`.
    http : aiohttp.ClientSession, optional
        A session of the caller's to use, never closed here.
    max_body_size : int, default 268435456
        Bytes of the largest answer that is read.
    allow_http : bool, default False
        Whether the API key may be sent unencrypted to another machine.
    trust_env : bool, default True
        Whether to use the proxy that `HTTPS_PROXY` and its like name. A session of
        yours, given as `http`, decides for itself.

    Raises
    ------
    MissingAPIKeyError
        If there is no API key.
    ValueError
        If an argument makes no sense, or the URL is not encrypted.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float | None = _DEFAULTS.timeout,
        retry: RetryPolicy = _DEFAULTS.retry,
        max_connections: int = 100,
        user_agent: str | None = None,
        http: aiohttp.ClientSession | None = None,
        max_body_size: int = _DEFAULTS.max_body_size,
        allow_http: bool = False,
        trust_env: bool = True,
    ) -> None:
        # So that no traceback with local variables shows the key, be it in the wrong place.
        if isinstance(api_key, str):
            api_key = SecretStr(api_key)
        if isinstance(base_url, str):
            base_url = SecretStr(base_url)
        options = Options(timeout=timeout, retry=retry, max_body_size=max_body_size)
        connections = Connections(
            api_key,
            base_url=base_url,
            max_connections=max_connections,
            user_agent=user_agent,
            http=http,
            allow_http=allow_http,
            trust_env=trust_env,
        )
        super().__init__(Transport(connections), options)
        self._tasks = BackgroundTasks()
        self._shared_by_tails = _SharedByTails()
        self._raw: RawServices | None = None

    async def __aenter__(self) -> Self:
        if self.closed:
            raise SessionClosedError
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, for this session and all its views.

        Calls under way fail, as every later one does, with a :class:`SessionClosedError`.
        """
        with anyio.CancelScope(shield=True):  # it may be a cancellation that ends the session
            await self._tasks.aclose()
            await self._transport.aclose()

    def with_options(
        self,
        *,
        timeout: float | msgspec.UnsetType | None = msgspec.UNSET,
        retry: RetryPolicy | msgspec.UnsetType = msgspec.UNSET,
        max_body_size: int | msgspec.UnsetType = msgspec.UNSET,
        background: bool | msgspec.UnsetType = msgspec.UNSET,
        on_attempt: AttemptHook | msgspec.UnsetType = msgspec.UNSET,
    ) -> Self:
        """Make a view with other options on the same connections.

        Parameters
        ----------
        timeout : float or None, optional
            Seconds that an attempt may take; None for no bound.
        retry : RetryPolicy, optional
            How often, and for how long, a failed call is repeated.
        max_body_size : int, optional
            Bytes of the largest answer that is read.
        background : bool, optional
            True for calls that give way to ordinary ones when the rate limit is near.
        on_attempt : callable, optional
            Called with an :class:`Attempt` before and after each attempt of the view's calls, after
            the hooks of this view. It runs in the middle of the call: it should be quick. What it
            raises is logged and does not harm the call.

        Returns
        -------
        Services
            What is not given is as in this one. Closing either closes both.

        Examples
        --------
        ::

            patient = services.with_options(timeout=300, retry=RetryPolicy(max_attempts=20))
        """
        given = {
            "timeout": timeout,
            "retry": retry,
            "max_body_size": max_body_size,
            "background": background,
        }
        changes: dict[str, object] = {
            name: value for name, value in given.items() if value is not msgspec.UNSET
        }
        if on_attempt is not msgspec.UNSET:
            validate_hook(on_attempt, "on_attempt")
            changes["on_attempt"] = chain_hooks(self._options.on_attempt, on_attempt)
        view = copy.copy(self)
        view._raw = None  # it has this one's options
        view.__dict__.pop("_log_source", None)
        view._options = msgspec.structs.replace(self._options, **changes)
        return view

    @property
    def raw(self) -> RawServices:
        """The endpoints with their answers as they came, as in `services.raw.get(42)`."""
        if self._raw is None:
            self._raw = RawServices(self._transport, self._options)
        return self._raw

    def tail_logs(
        self,
        id: int,
        deployment_id: int | None = None,
        *,
        start_at: datetime | str | None = None,
        end_at: datetime | str | None = None,
        resume: LogCursor | None = None,
        follow: bool = True,
        poll_interval: float = 1.0,
        max_poll_interval: float = 30.0,
        overlap: float = 60.0,
        grace: float | None = None,
        limit: int = 10_000,
        max_outage: float | None = None,
        on_event: EventHook | None = None,
    ) -> LogTail:
        """Follow the log of a service, or of one deployment: no line lost, none repeated.

        ``GET /services/{id}/deployments/{deployment_id}/logs``, with a look at
        ``GET /services/{id}`` or ``GET /services/{id}/deployments/{deployment_id}`` now and then

        Parameters
        ----------
        id : int
            Identifier of the service.
        deployment_id : int, optional
            Identifier of a deployment to stay with. Without it the tail follows the service: its
            current deployment, then each one that replaces it.
        start_at : datetime or str, optional
            Lines before this time are left out; "now" is the server's time at the call. Default:
            from the beginning of the log.
        end_at : datetime or str, optional
            Lines after this time are left out, and the tail ends when it has passed.
        resume : LogCursor, optional
            Where another tail stood, to go on from there.
        follow : bool, default True
            False: end when everything up to now was given.
        poll_interval : float, default 1.0
            Seconds between two polls while lines come.
        max_poll_interval : float, default 30.0
            Seconds between two requests, on average, when none have come for a while.
        overlap : float, default 60.0
            Seconds after its time at which a line may still turn up. Longer costs more requests
            for pages that hold nothing new, shorter loses what turns up later.
        grace : float, optional
            Seconds after a deployment's end during which late lines are awaited. Default: 30, or
            `overlap` if that is longer.
        limit : int, default 10000
            Lines that are asked for at once.
        max_outage : float, optional
            Seconds without an answer after which the tail fails. Default: it goes on trying.
        on_event : callable, optional
            Is given each `TailEvent`: an outage that begins or ends, a deployment that starts or
            ends, a gap, a state that is not known.

        Returns
        -------
        LogTail
            An async iterator of `TailedEntry`. Iterating raises `AuthenticationError` when the key
            is refused, `NotFoundError` or `PermissionDeniedError` when the log is gone for good;
            its `cursor` is intact then.

        Raises
        ------
        TypeError, ValueError
            If an argument makes no sense.

        Examples
        --------
        ::

            async with services.tail_logs(42) as tail:
                async for entry in tail:
                    print(entry.created_at, entry.message)
        """
        from aioservices.tail.options import TailOptions, parse_start

        options = TailOptions(
            service_id=id,
            deployment_id=deployment_id,
            start_at=parse_start(start_at, time.monotonic()),
            end_at=None if end_at is None else parse_timestamp(end_at, "end_at"),
            follow=follow,
            poll_interval=poll_interval,
            max_poll_interval=max_poll_interval,
            overlap=overlap,
            grace=grace,
            limit=limit,
            max_outage=max_outage,
            on_event=on_event,
        )
        return self._open_log_tail(options.resuming(resume), resume)

    def _open_log_tail(
        self, options: TailOptions, resume: LogCursor | None, look: Look | None = None
    ) -> LogTail:
        """Open a tail; `look` gets its service in another way than by a request of its own."""
        from aioservices.tail import LogTail

        return LogTail(
            self._log_source,
            self._tasks,
            options,
            self._shared_by_tails.profile,
            self._shared_by_tails.turns,
            self._shared_by_tails.budget,
            resume,
            look=look,
        )

    @cached_property
    def _log_source(self) -> Services:
        """What tails make their calls with: they give way to others, and repeat on their own."""
        return self.with_options(
            background=True,
            retry=RetryPolicy(max_attempts=1),
            on_attempt=self._shared_by_tails.turns.observe,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
    ) -> RawResponse:
        """Make any other call, with the same connections, repetitions and errors.

        Parameters
        ----------
        method : str
            `GET`, `POST`, ...
        path : str
            Below the base URL, as `users/me`. What needs quoting is quoted.
        params : mapping, optional
            The query. None leaves a parameter out, a list is sent as `name[]=1&name[]=2`.
        json : object, optional
            The body: anything that msgspec can write as JSON. None for no body.

        Returns
        -------
        RawResponse
            With a status of 2xx.

        Raises
        ------
        ValueError
            If the path could lead elsewhere than below the base URL, or `method` is not the name of
            an HTTP method.
        APIError, ConnectionFailedError, RequestTimeoutError
            As every call.
        """
        content = Hidden(json)
        json = None  # a traceback with local variables must not show it
        validate_type(method, str, "method")
        validate_type(path, str, "path")
        if not (method.isascii() and method.isalpha()):
            raise ValueError(f"method must be the name of an HTTP method, not {method!r}")
        return await self._transport.send(
            method.upper(),
            validate_path(path),
            params=params,
            body=None if content.value is None else encode(content.value),
            options=self._options,
        )

    def find(
        self,
        *terms: str | int,
        hidden: bool | None = None,
        archived: ArchivalStatus | None = None,
        author: str | None = None,
        status: StatusFilter | None = None,
    ) -> ServiceSearch:
        """Find services by name, pattern or id: awaited as a list, or iterated with `async for`.

        ``GET /services``, every page

        Parameters
        ----------
        *terms : str or int
            A name; a pattern with `*`, `?` or `[...]`; or an id. Case does not matter,
            unless several names differ in nothing else and one of them is given exactly.
        hidden, archived, author, status
            Which services to search, as for `list`. Default: all that are listed by default.

        Returns
        -------
        ServiceSearch
            The services in the order of the terms, each once. A term that means none adds none.

        Raises
        ------
        TypeError, ValueError
            At once if a term is neither a string nor an int, or there is none.

        Examples
        --------
        ::

            print(await services.find("dashboard"))
            async for service in services.find("service-*", status="running"):
                print(service.id, service.name)
        """
        if not terms:
            raise ValueError("find needs a name, a pattern or an id to search for")
        texts = tuple(
            str(validate_int(term, f"terms[{number}]"))
            if isinstance(term, int)
            else validate_type(term, str, f"terms[{number}]")
            for number, term in enumerate(terms)
        )

        def listing() -> Paginator[ServiceSummary]:
            return self.list(hidden=hidden, archived=archived, author=author, status=status)

        return ServiceSearch(listing, texts)

    async def collect(
        self,
        store: Store,
        *,
        ids: Iterable[int] | None = None,
        name: str | None = None,
        status: StatusFilter | None = "running",
        forward: Iterable[Forwarder] = (),
        retention: Retention | None = None,
        start_at: datetime | str | None = None,
        refresh: float = 30.0,
        poll_interval: float = 1.0,
        max_poll_interval: float = 30.0,
        overlap: float = 60.0,
        grace: float | None = None,
        limit: int = 1_000,
        max_waiting: int = 200_000,
    ) -> None:
        """Keep the logs of many services in a store: every line once, across crashes and restarts.

        ``GET /services``, and for each service what `tail_logs` calls. It goes on until it is
        cancelled; what was kept is whole at any moment, and the next collector goes on from there.

        Parameters
        ----------
        store : Store
            An open one, as from `aioservices.stores.open_store`.
        ids : iterable of int, optional
            Only these services.
        name : str, optional
            Only services with this name; it may be a pattern with `*`, `?` or `[...]`.
        status : str or None, default "running"
            Only services with this status; None for all.
        forward : iterable of Forwarder, optional
            Where to send what is stored.
        retention : Retention, optional
            What to remove from the store. Default: nothing.
        start_at : datetime or str, optional
            Lines before this time are left out, where the store has none of a log yet; "now" is
            the server's time at the call.
        refresh : float, default 30.0
            Seconds between looks for services that came or went.
        poll_interval, max_poll_interval, overlap, grace, limit
            As for `tail_logs`.
        max_waiting : int, default 200000
            Lines that may wait for the store in memory, of all services together.

        Raises
        ------
        StoreError
            If the store fails in a way that waiting does not mend.
        TypeError, ValueError
            If an argument makes no sense.

        Examples
        --------
        ::

            async with SQLiteStore("logs.db") as store:
                await services.collect(store, name="web-*")
        """
        # Not for those who do not collect: it needs SQLite.
        from aioservices.fleet.collecting import CollectOptions, Collector

        if name is not None:
            validate_type(name, str, "name")
        options = CollectOptions(
            ids=None if ids is None else tuple(dict.fromkeys(validate_ints(ids, "ids"))),
            patterns=() if name is None else (name,),
            status=status,
            start_at=start_at,
            refresh=refresh,
            poll_interval=poll_interval,
            max_poll_interval=max_poll_interval,
            overlap=overlap,
            grace=grace,
            limit=limit,
            max_waiting=max_waiting,
        )
        collector = Collector(
            store, [self], options, forwarders=tuple(forward), retention=retention
        )
        await collector.run()

    def share_rate_limit(self, sharers: int) -> None:
        """Leave to other processes that use the same key their part of its rate limit.

        Tails and other background calls then use that part of what is spare; ordinary calls come
        first, as always.

        Parameters
        ----------
        sharers : int
            How many processes there are, this one included.
        """
        self._transport.share_rate_limit(sharers)

    def key_id(self, salt: bytes) -> bytes:
        """Hash the API key, to tell sessions of the same key without knowing it.

        Parameters
        ----------
        salt : bytes
            1 to 64 bytes.

        Returns
        -------
        bytes

        Raises
        ------
        TypeError, ValueError
            If the salt is not that.
        """
        if not 1 <= len(validate_type(salt, bytes, "salt")) <= _LONGEST_SALT:
            raise ValueError(f"salt must have 1 to {_LONGEST_SALT} bytes, not {len(salt)}")
        return self._transport.key_id(salt)

    async def wait_until_running(
        self,
        id: int,
        deployment_id: int,
        *,
        timeout: float = 600.0,
        stay_up: float = 0.0,
        poll_interval: float = 1.0,
    ) -> Deployment:
        """Wait until a deployment runs.

        ``GET /services/{service_id}/deployments/{deployment_id}``, again and again. Calls that
        fail for another reason than the deployment itself are repeated until the time is up.

        Parameters
        ----------
        id : int
            The service.
        deployment_id : int
            The deployment.
        timeout : float, default 600.0
            Seconds that it has to come up. They pass only while it can be looked at: what the rate
            limit holds up does not count. Looks that fail are made for as long once more.
        stay_up : float, default 0.0
            Seconds for which it must then stay up: what crashes sooner has failed.
        poll_interval : float, default 1.0
            Seconds between two looks at first. They become ten times as many while nothing changes.

        Returns
        -------
        Deployment
            As it runs. One that sleeps counts as running: a service that is on demand does so until
            somebody asks for it.

        Raises
        ------
        DeploymentFailedError
            If it has ended; with its state message and the last lines of its log.
        DeploymentTimeoutError
            If it does not run in time. It may still come to run.
        NotFoundError
            If it does not exist. As it may just have been made, this is believed after 5 s.
        PermissionDeniedError, AuthenticationError
            If it may not be seen.

        Examples
        --------
        ::

            deployment = await services.post_deployments(42)
            await services.wait_until_running(42, deployment.deployment_id)
        """
        from aioservices.fleet.wait import wait_until_running

        return await wait_until_running(
            self,
            id,
            deployment_id,
            timeout=timeout,
            stay_up=stay_up,
            poll_interval=poll_interval,
        )

    def deploy_many(
        self,
        ids: Iterable[int],
        *,
        redeploy: bool = False,
        concurrency: int = 20,
        wait: bool = True,
        timeout: float = 600.0,
        stay_up: float = 0.0,
        settle: float = 10.0,
        poll_interval: float = 1.0,
    ) -> DeployRun:
        """Deploy many services, each of them exactly once.

        ``POST /services/{service_id}/deployments``, or ``.../redeploy``. One failure stops nothing:
        it is the outcome of that service. If an answer is lost, as by a reset or a 502, the
        service's deployments are looked at before anything is repeated. Waiting costs a request for
        each page of 50 services and look, not for each service.

        Parameters
        ----------
        ids : iterable of int
            The services. One that is named twice is deployed once, and has one outcome.
        redeploy : bool, default False
            Whether to call ``redeploy`` instead.
        concurrency : int, default 20
            How many are asked for at once; those that are on their way to running do not count.
        wait : bool, default True
            Whether an outcome is known when the deployment runs; else when it has been made.
        timeout : float, default 600.0
            Seconds that each deployment has to come up, from when it was made. They pass only while
            it can be looked at: what the rate limit holds up does not count.
        stay_up : float, default 0.0
            Seconds for which it must then stay up: what crashes sooner has failed.
        settle : float, default 10.0
            Seconds during which a lost deploy is looked for before it is asked for again. A server
            that acts on a request later than that deploys twice.
        poll_interval : float, default 1.0
            Seconds between two looks at first. They become ten times as many while nothing changes.

        Returns
        -------
        DeployRun
            An async iterator of :class:`DeployOutcome` in order of completion, and an async context
            manager that stops what is under way at its end. What was deployed is told by its
            attribute `made`, and what may have been, as no answer came, by `unknown`; `started`
            has both, also afterwards. Its `recheck` looks once more at what came up. Deploying
            begins with the first step.

        Raises
        ------
        TypeError, ValueError
            At once, before anything is sent, if an argument makes no sense.

        Examples
        --------
        ::

            async for outcome in services.deploy_many([1, 2, 3]):
                print(outcome.service_id, outcome.error or "runs")
        """
        from aioservices.fleet.deploy import DeployRun

        return DeployRun(
            self._tasks,
            self,
            ids,
            redeploy=redeploy,
            concurrency=concurrency,
            wait=wait,
            timeout=timeout,
            stay_up=stay_up,
            settle=settle,
            poll_interval=poll_interval,
        )

    def watch_logs(
        self,
        ids: Iterable[int] | None = None,
        *,
        status: StatusFilter | None = "running",
        name: str | None = None,
        sink: Sink | None = None,
        refresh: float = 30.0,
        hold_back: float | None = None,
        resume: Mapping[int, LogCursor] | None = None,
        start_at: datetime | str | None = None,
        poll_interval: float = 1.0,
        max_poll_interval: float = 30.0,
        overlap: float = 60.0,
        grace: float | None = None,
        limit: int = 1_000,
        on_event: EventHook | None = None,
    ) -> LogWatch:
        """Follow the logs of many services in one stream.

        ``GET /services``, and for each service what `tail_logs` calls. Services that come are
        picked up at the next refresh, with their log from its beginning. One that goes, since its
        status or its name does not match any more, is read until its deployment has ended and its
        log is read to the end, however slowly its lines are taken. The trouble of one log is its
        own: it is tried again at the next refresh. All of them share what the rate limit leaves,
        and none can crowd out the others.

        Parameters
        ----------
        ids : iterable of int, optional
            The services, whatever their status. Default: all that match.
        status : str, optional
            Without `ids`: `running` (the default), `idle`, both with a comma between them, or None
            for every service.
        name : str, optional
            A pattern such as `web-*` that their names match, without regard to case.
        sink : Sink, optional
            Where the lines are written, with the cursors that stand behind them, before they are
            given to you. While it refuses them, it is tried again. `await watch.run()` does for
            those who only want them written.
        refresh : float, default 30.0
            Seconds between two looks at which services there are.
        hold_back : float, optional
            Seconds for which lines may be held back to put those of all services into the order of
            their time: up to 100,000 lines in all. Default: they come in the order in which they
            are read.
        resume : mapping of int to LogCursor, optional
            By service where to go on: the `checkpoint` of an earlier watch.
        start_at : datetime or str, optional
            Lines before this time are left out, except where `resume` says where to go on; "now"
            is the server's time at the call.
        poll_interval, max_poll_interval, overlap, grace : float
            As for `tail_logs`.
        limit : int, default 1000
            Lines that are asked for at once. Up to three such pages of each service wait in memory.
        on_event : callable, optional
            Is given each `TailEvent` of every log, as for `tail_logs`.

        Returns
        -------
        LogWatch
            An async iterator of :class:`WatchedEntry`, and an async context manager. It never ends
            by itself, and raises only what concerns all services, as `AuthenticationError`.

        Raises
        ------
        TypeError, ValueError
            If an argument makes no sense.

        Examples
        --------
        ::

            async with services.watch_logs(name="service-*") as watch:
                async for line in watch:
                    print(line.service_name, line.entry.message)
        """
        from aioservices.fleet.watch import LogWatch
        from aioservices.fleet.watcher import WatchOptions, validate_sink
        from aioservices.tail.options import TailOptions, parse_start

        begin = parse_start(start_at, time.monotonic())
        options = WatchOptions(
            ids=None if ids is None else tuple(dict.fromkeys(validate_ints(ids, "ids"))),
            status=validate_choice(status, get_args(StatusFilter), "status"),
            name=validate_type(name, str | None, "name"),
            sink=validate_sink(sink),
            refresh=validate_seconds(refresh, "refresh"),
            hold_back=validate_optional_seconds(hold_back, "hold_back", zero=True),
            poll_interval=validate_seconds(poll_interval, "poll_interval"),
        )

        tail_options = TailOptions(
            service_id=0,
            start_at=begin,
            poll_interval=poll_interval,
            max_poll_interval=max_poll_interval,
            overlap=overlap,
            grace=grace,
            limit=limit,
            on_event=on_event,
        )

        def options_of(id: int, cursor: LogCursor | None) -> TailOptions:
            start_at = begin if cursor is None else None
            of_service = msgspec.structs.replace(tail_options, service_id=id, start_at=start_at)
            return of_service.resuming(cursor)

        def open_tail(id: int, cursor: LogCursor | None, look: Look) -> LogTail:
            return self._open_log_tail(options_of(id, cursor), cursor, look)

        # What makes no sense is refused here and now.
        validate_type(resume, Mapping | None, "resume")
        cursors = {
            validate_int(each, "each key of resume"): cursor
            for each, cursor in (resume or {}).items()
        }
        for each, cursor in {0: None, **cursors}.items():
            options_of(each, cursor)
        return LogWatch(self._tasks, self, open_tail, options, cursors)

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the server said last about its rate limit; None before its first answer."""
        return self._transport.rate_limit

    @property
    def retry(self) -> RetryPolicy:
        """How often, and for how long, a failed call of this view is repeated."""
        return self._options.retry

    @property
    def closed(self) -> bool:
        """Whether the session is closed."""
        return self._transport.closed

    def on_request(self, observer: RequestObserverT) -> RequestObserverT:
        """Have a function called before each attempt of each call.

        Parameters
        ----------
        observer : callable
            Takes a :class:`RequestInfo`. It runs in the middle of the call: it should be quick.
            What it raises is logged and goes no further.

        Returns
        -------
        callable
            The function, so that this can be used as a decorator.

        Raises
        ------
        TypeError
            If it is not a function, or is an asynchronous one, which nobody would await.
        """
        self._observe(observer, {"sending"}, RequestInfo.of)
        return observer

    def on_response(self, observer: ResponseObserverT) -> ResponseObserverT:
        """Have a function called after each attempt of each call, whatever its result.

        Parameters
        ----------
        observer : callable
            Takes a :class:`ResponseInfo`. It runs in the middle of the call: it should be quick.
            What it raises is logged and goes no further.

        Returns
        -------
        callable
            The function, so that this can be used as a decorator.

        Raises
        ------
        TypeError
            If it is not a function, or is an asynchronous one, which nobody would await.
        """
        self._observe(observer, {"answered", "failed"}, ResponseInfo.of)
        return observer

    def _observe(
        self,
        observer: Callable[[InfoT], object],
        states: Collection[AttemptState],
        describe: Callable[[Attempt], InfoT],
    ) -> None:
        """Have a function called with a description of each attempt in one of the states."""
        validate_hook(observer, "an observer")

        def hook(attempt: Attempt) -> None:
            if attempt.state in states:
                observer(describe(attempt))

        self._transport.hooks.append(hook)

    def __repr__(self) -> str:
        if not hasattr(self, "_transport"):  # its arguments were refused
            return f"<{type(self).__name__}, not initialized>"
        closed = ", closed" if self.closed else ""
        return f"<{type(self).__name__} {self._transport.base_url}{closed}>"


class _SharedByTails:
    """What all tails of a session share, views included; each is made when a tail needs it."""

    @cached_property
    def profile(self) -> ServerProfile:
        """What is known about how the server gives pages of logs."""
        from aioservices.tail.scan import ServerProfile

        return ServerProfile()

    @cached_property
    def turns(self) -> TurnQueue:
        """The order of their requests."""
        from aioservices.tail.turns import TurnQueue

        return TurnQueue()

    @cached_property
    def budget(self) -> LineBudget:
        """How many lines may wait in memory."""
        from aioservices.tail.budget import LineBudget

        return LineBudget()
