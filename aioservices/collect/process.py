"""The daemon as a process: signals, the service manager, key changes and the page.

It ends in one of three ways. After SIGTERM or SIGINT the collector commits what was read, for some
seconds at most, and stops. A second signal ends it at once; no line is lost, because lines that
were not committed are read again next time. If the collector fails for a reason that waiting does
not resolve, such as a damaged store, its error is raised.
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
from .metrics import Metrics, RequestCounter
from .opening import StoreOpener
from .page import Page
from .secret_files import read_token
from .status_line import StatusLine
from .systemd import Systemd

__all__ = ["run_daemon"]

log = logging.getLogger("aioservices.collect")

_Signals: TypeAlias = "MemoryObjectReceiveStream[int]"

_FIRST_ATTEMPT_SECONDS = 2.0
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
        Called with the actual address, once the daemon listens.
    on_progress : callable, optional
        Called twice a second with the status in one line.

    Raises
    ------
    StoreError
        If the store cannot be used and waiting does not help.
    ListenError
        If the address cannot be listened on.
    """
    with anyio.CancelScope() as whole:
        async with _one_error(), anyio.create_task_group() as group:
            # Before anything is opened, so that early signals are handled too.
            received = await group.start(_handle_signals, whole)
            await _collect(config, received, on_listening, on_progress)
            group.cancel_scope.cancel()
    if whole.cancelled_caught:
        log.warning("exited before everything was stored: the rest is read again next time")


async def _collect(
    config: CollectConfig,
    received: _Signals,
    on_listening: Callable[[Address], None] | None,
    on_progress: Callable[[str], None] | None,
) -> None:
    requests = RequestCounter()
    async with contextlib.AsyncExitStack() as stack:
        keys = KeyRing(config, requests)
        stack.push_async_callback(keys.aclose)
        store = open_store(config.store_url, lease=config.lease)
        stack.push_async_callback(store.aclose)
        opener = StoreOpener(
            store, path_of(config.store_url).parent if config.store is None else None
        )
        collector = Collector(
            store,
            keys.sessions,
            _options(config),
            forwarders=config.forwarders(),
            retention=config.retention,
        )
        async with anyio.create_task_group() as group:
            group.start_soon(opener.run, collector.postpone)
            # An error of the store that ends the daemon should do so before the page is served.
            with anyio.move_on_after(_FIRST_ATTEMPT_SECONDS):
                await opener.until_attempted()
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
            await _Process(opener, collector, keys, page, on_progress).run(received)
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
    """The tasks that run while the collector does."""

    def __init__(
        self,
        opener: StoreOpener,
        collector: Collector,
        keys: KeyRing,
        page: Page | None,
        on_progress: Callable[[str], None] | None,
    ) -> None:
        self._page = page
        self._on_progress = on_progress
        self._opener = opener
        self._collector = collector
        self._keys = keys
        self._systemd = Systemd()
        self._reloading = anyio.Lock()

    async def run(self, received: _Signals) -> None:
        """Collect until a signal ends it, or the collector fails."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._handle, received)
            group.start_soon(self._reload_keys)
            group.start_soon(self._notify)
            group.start_soon(self._watchdog)
            group.start_soon(self._show_progress)
            if self._page is not None:
                group.start_soon(self._page.run)
            if await self._opener.is_open():
                await self._collector.run()
            group.cancel_scope.cancel()

    async def _handle(self, received: _Signals) -> None:
        while True:
            number = await received.receive()
            if number == signal.SIGHUP:
                self._systemd.reloading()
                await self._reload()
                self._collector.refresh()
                self._systemd.ready()
            else:
                self._systemd.stopping()
                self._opener.give_up()
                self._collector.stop()

    async def _reload_keys(self) -> None:
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
        """Report the status to the service manager and the log."""
        self._systemd.ready()  # it collects; /readyz reports whether everything can be reached
        reasons: tuple[str, ...] = ()
        began = anyio.current_time()
        status_line, due = StatusLine(began), began + _STATUS_SECONDS
        while True:
            await anyio.sleep(_REPORT_SECONDS)
            now = self._collector.reasons
            for reason in now:
                if reason not in reasons:
                    log.warning("not ready: %s", reason)
            if reasons and not now:
                log.info("ready again")
            reasons = now
            if self._systemd.is_available:
                self._systemd.status(
                    status_line.render(self._collector.status, anyio.current_time())
                )
            if anyio.current_time() >= due:
                log.info("%s", status_line.render(self._collector.status, anyio.current_time()))
                due += _STATUS_SECONDS

    async def _show_progress(self) -> None:
        """Update the status line below the log records, if the process has a terminal."""
        if self._on_progress is None:
            return
        status_line = StatusLine(anyio.current_time())
        while True:
            self._on_progress(status_line.render(self._collector.status, anyio.current_time()))
            await anyio.sleep(_PROGRESS_SECONDS)


async def _handle_signals(
    whole: anyio.CancelScope, *, task_status: TaskStatus[_Signals] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Pass signals on; after one that ends the process, limit the time that this takes."""
    send, receive = anyio.create_memory_object_stream[int](math.inf)
    stopping = False
    handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with send, receive, anyio.open_signal_receiver(*handled) as signals:
        task_status.started(receive)
        async for number in signals:
            if number == signal.SIGHUP:
                send.send_nowait(number)
            elif stopping:
                whole.cancel()
            else:
                stopping = True
                name = signal.Signals(number).name
                log.info("%s: storing what was read, then exiting", name)
                send.send_nowait(number)
                whole.deadline = anyio.current_time() + _DRAIN_SECONDS


@contextlib.asynccontextmanager
async def _one_error() -> AsyncGenerator[None, None]:
    """Unwrap the error of the collector from its group."""
    try:
        yield
    except BaseExceptionGroup as group:
        error = first_error(group)
        raise error from error.__cause__
