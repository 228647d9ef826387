"""The logs of a session: one log, the logs of a fleet, and logs that are kept."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, get_args

import msgspec

from aioservices.api.states import StatusFilter
from aioservices.http.options import Options
from aioservices.http.retry import RetryPolicy
from aioservices.http.transport import Transport
from aioservices.validation import (
    parse_timestamp,
    validate_choice,
    validate_int,
    validate_ints,
    validate_optional_seconds,
    validate_seconds,
    validate_type,
)

# Imported where it is needed, so that programs which make single calls start sooner.
if TYPE_CHECKING:
    from aioservices.fleet.watch import LogWatch
    from aioservices.fleet.watcher import Sink
    from aioservices.stores import Retention, Store
    from aioservices.stores.forward import Forwarder
    from aioservices.tail import EventHook, LogCursor, LogTail
    from aioservices.tail.budget import LineBudget
    from aioservices.tail.fetcher import FetchService
    from aioservices.tail.options import TailOptions
    from aioservices.tail.scan import ServerProfile

from .session import Session

__all__ = ["LogCalls"]

_ONCE = RetryPolicy(max_attempts=1)


class LogCalls(Session):
    """Logs, read to their end and followed."""

    def __init__(self, transport: Transport, options: Options) -> None:
        super().__init__(transport, options)
        self._shared_by_tails = _SharedByTails()

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
        """Follow the log of a service, or of one deployment, without loss or repetition.

        ``GET /services/{id}/deployments/{deployment_id}/logs``, with a check of ``GET
        /services/{id}`` or ``GET /services/{id}/deployments/{deployment_id}`` from time to time.

        Parameters
        ----------
        id : int
            Identifier of the service.
        deployment_id : int, optional
            Identifier of a deployment to follow. Without it the tail follows the service: its
            current deployment, then each one that replaces it.
        start_at : datetime or str, optional
            Skip lines before this time; "now" is the server's time at the call. Default: start at
            the beginning of the log.
        end_at : datetime or str, optional
            Skip lines after this time, and end when it has passed.
        resume : LogCursor, optional
            The position of another tail, to continue from there.
        follow : bool, default True
            False: end when everything up to now has been returned.
        poll_interval : float, default 1.0
            Seconds between two polls while lines arrive.
        max_poll_interval : float, default 30.0
            Average seconds between two requests when no line has arrived for a while.
        overlap : float, default 60.0
            Seconds after its timestamp within which a line may still appear. A larger value costs
            more requests for pages without new lines; a smaller one loses lines that appear later.
        grace : float, optional
            Seconds to wait for late lines after a deployment has ended. Default: 30, or
            `overlap` if that is longer.
        limit : int, default 10000
            Lines to plan each request for. A page can be up to three times as long, where there are
            more lines than expected, and longer where there are more within one second.
        max_outage : float, optional
            Seconds without an answer after which the tail fails. Default: it keeps trying.
        on_event : callable, optional
            Called with each `TailEvent`: an outage that begins or ends, a deployment that starts
            or ends, a gap, an unknown state.

        Returns
        -------
        LogTail
            An async iterator of `TailedEntry`. Iterating raises `AuthenticationError` when the key
            is rejected, `NotFoundError` or `PermissionDeniedError` when the log is gone for good;
            its `cursor` stays valid then.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid.

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
            start_at=parse_start(start_at),
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

        ``GET /services``, and for each service what `tail_logs` calls. New services are
        picked up at the next refresh, with their log from its beginning. A service whose status or
        name no longer matches is read until its deployment has ended and its log is read to the
        end, however slowly its lines are taken. An error in one log does not affect the others; it
        is tried again at the next refresh. All of them share what the rate limit leaves, and none
        can crowd out the others.

        Parameters
        ----------
        ids : iterable of int, optional
            The services, whatever their status. Default: all that match.
        status : str, optional
            Without `ids`: `running` (the default), `idle`, both with a comma between them, or None
            for every service.
        name : str, optional
            A pattern such as `web-*` that their names match; case is ignored.
        sink : Sink, optional
            Receives the lines, with the cursors of the positions after them, before they are
            returned. If it raises, it is called again. Use `await watch.run()` if you only want
            the lines written.
        refresh : float, default 30.0
            Seconds between two checks for new services.
        hold_back : float, optional
            Seconds for which lines may be held back to sort those of all services by time: up to
            50,000 lines in total. Default: lines come in the order in which they are read.
        resume : mapping of int to LogCursor, optional
            The position in each service's log: the `checkpoint` of an earlier watch.
        start_at : datetime or str, optional
            Skip lines before this time, except for services in `resume`; "now" is the server's
            time at the call.
        poll_interval, max_poll_interval, overlap, grace : float
            As for `tail_logs`.
        limit : int, default 1000
            Lines to request at once. Up to three such pages of each service are held in memory.
        on_event : callable, optional
            Called with each `TailEvent` of every log, as for `tail_logs`.

        Returns
        -------
        LogWatch
            An async iterator of :class:`WatchedEntry`, and an async context manager. It never ends
            by itself, and raises only errors that concern all services, as `AuthenticationError`.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid.

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

        begin = parse_start(start_at)
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

        def open_tail(id: int, cursor: LogCursor | None, fetch_service: FetchService) -> LogTail:
            return self._open_log_tail(options_of(id, cursor), cursor, fetch_service)

        # What makes no sense is refused here and now.
        validate_type(resume, Mapping | None, "resume")
        cursors = {
            validate_int(each, "each key of resume"): cursor
            for each, cursor in (resume or {}).items()
        }
        for each, cursor in {0: None, **cursors}.items():
            options_of(each, cursor)
        return LogWatch(self._tasks, self, open_tail, options, cursors)

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
        """Store the logs of many services: every line once, across crashes and restarts.

        ``GET /services``, and for each service what `tail_logs` calls. It runs until it is
        cancelled. The store is consistent at any moment, and the next collector continues from it.

        Parameters
        ----------
        store : Store
            An open store, as from `aioservices.stores.open_store`.
        ids : iterable of int, optional
            Only these services.
        name : str, optional
            Only services with this name; it may be a pattern with `*`, `?` or `[...]`.
        status : str or None, default "running"
            Only services with this status; None for all.
        forward : iterable of Forwarder, optional
            Where to send stored lines.
        retention : Retention, optional
            Which lines to remove from the store. Default: none.
        start_at : datetime or str, optional
            Skip lines before this time in logs of which the store has no lines yet; "now" is the
            server's time at the call.
        refresh : float, default 30.0
            Seconds between two checks for services that were added or removed.
        poll_interval, max_poll_interval, overlap, grace, limit
            As for `tail_logs`.
        max_waiting : int, default 200000
            Lines that may wait in memory for the store, of all services together.

        Raises
        ------
        StoreError
            If the store fails in a way that does not go away by waiting.
        TypeError, ValueError
            If an argument is invalid.

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

    def _open_log_tail(
        self,
        options: TailOptions,
        resume: LogCursor | None,
        fetch_service: FetchService | None = None,
    ) -> LogTail:
        """Open a tail; `fetch_service` gets its service without a request of the tail's own."""
        from aioservices.api.raw import RawServices
        from aioservices.tail import LogTail
        from aioservices.tail.schedule import TailUrgency

        urgency = TailUrgency(options.poll_interval, time.monotonic())
        # A tail lets other calls go first, and repeats on its own.
        calls = msgspec.structs.replace(
            self._options, background=True, urgency=urgency, retry=_ONCE
        )
        return LogTail(
            RawServices(self._transport, calls),
            self._tasks,
            options,
            self._shared_by_tails.profile,
            urgency,
            self._shared_by_tails.budget,
            resume,
            fetch_service=fetch_service,
        )


class _SharedByTails:
    """What all tails of a session share, views included; each is made when a tail needs it."""

    @cached_property
    def profile(self) -> ServerProfile:
        """What is known about how the server gives pages of logs."""
        from aioservices.tail.scan import ServerProfile

        return ServerProfile()

    @cached_property
    def budget(self) -> LineBudget:
        """How many lines may wait in memory."""
        from aioservices.tail.budget import LineBudget

        return LineBudget()
