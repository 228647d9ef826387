"""The daemon as a process: signals, the service manager, keys that are renewed, the page.

It ends in one of three ways. SIGTERM or SIGINT asks the collector to stop: what was read is
committed, at most for some seconds; a second signal ends it at once, which loses no line either,
because what was not committed is read again next time. Or the collector fails, because of
something that waiting does not mend, such as a damaged store: that error is raised.
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
from collections.abc import AsyncGenerator, Callable
from typing import TypeAlias

import anyio
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream

from aioservices.concurrency import first_error
from aioservices.fleet.collecting import CollectOptions, Collector
from aioservices.stores import open_store
from aioservices.stores.url import path_of

from .address import Address
from .config import CollectConfig
from .health import health_routes, serve
from .keys import KeyRing
from .live import Rates
from .metrics import Metrics, RequestCounter
from .opening import Opening
from .page import Page
from .secret_files import read_token
from .systemd import Systemd

__all__ = ["run_daemon"]

log = logging.getLogger("aioservices.collect")

_Orders: TypeAlias = "MemoryObjectReceiveStream[int]"

_UNSEEN_SECONDS = 2.0
_DRAIN_SECONDS = 10.0
_KEY_CHECK_SECONDS = 5.0
_REPORT_SECONDS = 2.0  # between two reports to the service manager
_STATUS_SECONDS = 60.0
_PROGRESS_SECONDS = 0.5


async def run_daemon(
    config: CollectConfig,
    *,
    on_listening: Callable[[Address], None] | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> None:
    """Collect until a signal ends it.

    Parameters
    ----------
    config : CollectConfig
    on_listening : callable, optional
        Called with the address that is listened on, once it is.
    on_progress : callable, optional
        Called twice a second with a line that says how it goes.

    Raises
    ------
    StoreError
        If the store cannot be used and waiting does not help.
    ListenError
        If the address cannot be listened on.
    """
    with anyio.CancelScope() as whole:
        async with _one_error(), anyio.create_task_group() as group:
            # Before anything is opened: a signal that comes early is obeyed like any other.
            orders = await group.start(_obey_signals, whole)
            await _collect(config, orders, on_listening, on_progress)
            group.cancel_scope.cancel()
    if whole.cancelled_caught:
        log.warning("ended before everything was stored: the rest is read again next time")


async def _collect(
    config: CollectConfig,
    orders: _Orders,
    on_listening: Callable[[Address], None] | None,
    on_progress: Callable[[str], None] | None,
) -> None:
    requests = RequestCounter()
    async with contextlib.AsyncExitStack() as stack:
        keys = KeyRing(config, requests)
        stack.push_async_callback(keys.aclose)
        store = open_store(config.store_url, lease=config.lease)
        stack.push_async_callback(store.aclose)
        opening = Opening(store, path_of(config.store_url).parent if config.store is None else None)
        collector = Collector(
            store,
            keys.sessions,
            _options(config),
            forwarders=config.forwarders(),
            retention=config.retention,
        )
        async with anyio.create_task_group() as group:
            group.start_soon(opening.run, collector.postpone)
            # What ends the daemon at its start does so before it is seen, unless that takes long.
            with anyio.move_on_after(_UNSEEN_SECONDS):
                await opening.until_attempted()
            page = None
            if config.listen is not None:
                page = Page(collector, store, config.listen, _token(config))
                metrics = Metrics(lambda: collector.status, requests)
                routes = health_routes(lambda: collector.status, metrics) + page.routes()
                address = await stack.enter_async_context(serve(config.listen, routes))
                stack.push_async_callback(page.aclose)
                log.info("the page, health checks and metrics are served at http://%s/", address)
                if on_listening is not None:
                    on_listening(address)
            await _Process(opening, collector, keys, page, on_progress).run(orders)
            group.cancel_scope.cancel()


def _token(config: CollectConfig) -> str | None:
    file = config.listen_token_file
    return None if file is None else read_token(file)


def _options(config: CollectConfig) -> CollectOptions:
    return CollectOptions(
        patterns=config.services,
        status=None if config.status == "any" else config.status,
        refresh=config.refresh,
        poll_interval=config.poll_interval,
        max_poll_interval=config.max_poll_interval,
        overlap=config.overlap,
        grace=config.grace,
        lease=config.lease,
        max_waiting=config.max_waiting_lines,
    )


class _Process:
    """What goes on beside the collector, as long as it collects."""

    def __init__(
        self,
        opening: Opening,
        collector: Collector,
        keys: KeyRing,
        page: Page | None,
        on_progress: Callable[[str], None] | None,
    ) -> None:
        self._page = page
        self._on_progress = on_progress
        self._opening = opening
        self._collector = collector
        self._keys = keys
        self._systemd = Systemd()
        self._reloading = anyio.Lock()

    async def run(self, orders: _Orders) -> None:
        """Collect until it is ordered to end, or the collector fails."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._obey, orders)
            group.start_soon(self._renew_keys)
            group.start_soon(self._notify)
            group.start_soon(self._watchdog)
            group.start_soon(self._show)
            if self._page is not None:
                group.start_soon(self._page.run)
            if await self._opening.is_open():
                await self._collector.run()
            group.cancel_scope.cancel()

    async def _obey(self, orders: _Orders) -> None:
        while True:
            number = await orders.receive()
            if number == signal.SIGHUP:
                self._systemd.reloading()
                await self._reload()
                self._collector.refresh()
                self._systemd.ready()
            else:
                self._systemd.stopping()
                self._opening.give_up()
                self._collector.stop()

    async def _renew_keys(self) -> None:
        while True:
            await anyio.sleep(_KEY_CHECK_SECONDS)
            await self._reload()

    async def _reload(self) -> None:
        async with self._reloading:
            await self._keys.reload(self._collector.replace_session)

    async def _watchdog(self) -> None:
        interval = self._systemd.watchdog_interval
        while interval is not None:
            self._systemd.alive()
            await anyio.sleep(interval)

    async def _notify(self) -> None:
        """Tell the service manager, and the log, how it goes."""
        self._systemd.ready()  # it collects; /readyz says whether it can reach everything
        reasons: tuple[str, ...] = ()
        rates, due = Rates(), anyio.current_time() + _STATUS_SECONDS
        while True:
            await anyio.sleep(_REPORT_SECONDS)
            now = self._collector.reasons
            for reason in now:
                if reason not in reasons:
                    log.warning("not ready: %s", reason)
            if reasons and not now:
                log.info("ready again")
            reasons = now
            if self._systemd.is_there:
                self._systemd.status(rates.line(self._collector.status, anyio.current_time()))
            if anyio.current_time() >= due:
                log.info("%s", rates.line(self._collector.status, anyio.current_time()))
                due += _STATUS_SECONDS

    async def _show(self) -> None:
        """Keep a line below the log records, where the process has a terminal."""
        if self._on_progress is None:
            return
        rates = Rates()
        while True:
            self._on_progress(rates.line(self._collector.status, anyio.current_time()))
            await anyio.sleep(_PROGRESS_SECONDS)


async def _obey_signals(
    whole: anyio.CancelScope, *, task_status: TaskStatus[_Orders] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Hand signals on, and see that one that ends the process does so in time."""
    send, receive = anyio.create_memory_object_stream[int](math.inf)
    stopping = False
    received = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with send, receive, anyio.open_signal_receiver(*received) as signals:
        task_status.started(receive)
        async for number in signals:
            if number == signal.SIGHUP:
                send.send_nowait(number)
            elif stopping:
                whole.cancel()
            else:
                stopping = True
                name = signal.Signals(number).name
                log.info("%s: storing what was read, then ending", name)
                send.send_nowait(number)
                whole.deadline = anyio.current_time() + _DRAIN_SECONDS


@contextlib.asynccontextmanager
async def _one_error() -> AsyncGenerator[None, None]:
    """Raise what the collector raised by itself, not in a group of one."""
    try:
        yield
    except BaseExceptionGroup as group:
        error = first_error(group)
        raise error from error.__cause__
