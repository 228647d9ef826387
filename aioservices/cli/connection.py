"""The session of a command."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import traceback
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from functools import cached_property
from typing import TextIO, TypeVar

from aioservices.client import Services
from aioservices.errors import (
    APIError,
    ConnectionFailedError,
    MalformedEntryWarning,
    RateLimitedError,
)
from aioservices.http.response import http_date
from aioservices.http.retry import RetryPolicy, may_repeat
from aioservices.http.url import validate_base_url
from aioservices.tail import LogGap
from aioservices.terminal.sanitize import one_line

from .console import note
from .errors import USAGE_ERROR, CommandError, explain, is_output_error
from .notices import Notices

__all__ = ["Connection"]

T = TypeVar("T")

log = logging.getLogger(__name__)

_QUICK_RETRY = RetryPolicy(max_attempts=3, max_elapsed=5.0, base_delay=0.3)
_QUICK_TIMEOUT = 10.0
_USUAL_RETRY = RetryPolicy()


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How a command reaches the API.

    Attributes
    ----------
    url : str or None
        None: ``CIVIS_API_ENDPOINT``, else the platform's address.
    timeout : float
        Seconds for an attempt of a request.
    verbose : bool
        Whether every attempt is reported on standard error.
    """

    url: str | None = None
    timeout: float = 60.0
    verbose: bool = False

    @property
    def base_url(self) -> str:
        """Where the API is.

        Raises
        ------
        CommandError
            If it is not a URL, or not a safe one.
        """
        try:
            return validate_base_url(self.url, argument="--url")
        except ValueError as exc:
            raise CommandError(str(exc), status=USAGE_ERROR) from None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[Services, None]:
        """Open a session, which ends with the block; errors in the block are explained."""
        base_url = self.base_url
        notices = self.notices
        with _logged(verbose=self.verbose), warnings.catch_warnings():
            warnings.simplefilter("always", MalformedEntryWarning)
            warnings.simplefilter("ignore", LogGap)  # an event reports it too
            warnings.showwarning = _print_warning
            try:
                services = Services(
                    base_url=base_url, timeout=self.timeout, user_agent="aioservices-cli"
                )
            except ValueError as exc:  # a variable of the environment
                raise CommandError(str(exc), status=USAGE_ERROR) from None
            async with services:
                try:
                    yield services.with_options(on_attempt=notices.attempt)
                except Exception as exc:
                    if is_output_error(exc):
                        raise
                    log.debug("the command failed", exc_info=exc)
                    explanation = explain(exc, url=base_url)
                    raise CommandError(explanation.text, explanation.status) from exc
                finally:
                    notices.flush()

    @cached_property
    def notices(self) -> Notices:
        """Reports attempts and events."""
        return Notices(self.base_url, verbose=self.verbose)

    async def reach(
        self,
        services: Services,
        call: Callable[[Services], Awaitable[T]],
        *,
        method: str = "GET",
    ) -> T:
        """Make the first call of a command; a missing network is reported soon.

        If the server answers at all, failures are retried as long as usual.

        Parameters
        ----------
        services : Services
        call : callable
            Makes the call with the given session. It may be called twice if that cannot have an
            effect twice.
        method : str
            The method of the call's requests, in capitals.

        Returns
        -------
        T
            What the call returned.
        """
        repeatable = may_repeat(method)
        timeout = min(self.timeout, _QUICK_TIMEOUT) if repeatable else self.timeout
        hasty = services.with_options(retry=_QUICK_RETRY, timeout=timeout)
        try:
            return await call(hasty)
        except ConnectionFailedError as exc:
            if not exc.sent or not repeatable:
                raise
        except APIError as exc:
            if not may_repeat(method, status=exc.status):
                raise
            wait = exc.retry_after if isinstance(exc, RateLimitedError) else None
            if wait is not None and wait > _USUAL_RETRY.max_elapsed:
                raise  # not to wait for it
        return await call(services)

    async def now(self, services: Services) -> dt.datetime:
        """Get the server's time: its clock has dated the lines, and ours may be wrong."""
        response = await self.reach(services, lambda view: view.raw.list(limit=1))
        return http_date(response.headers) or dt.datetime.now(dt.UTC)


@contextlib.contextmanager
def _logged(*, verbose: bool) -> Generator[None, None, None]:
    """Show what the library logs: everything, or only what no hook reports."""
    logger = logging.getLogger("aioservices")
    handler = _LogHandler()
    if not verbose:
        handler.addFilter(_FleetWarningsOnce())
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class _LogHandler(logging.Handler):
    """Prints a record as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        note(one_line(record.getMessage()))
        if record.exc_info:
            traceback.print_exception(record.exc_info[1])


class _FleetWarningsOnce(logging.Filter):
    """Passes each warning of the fleet once; hooks report what other records say."""

    def __init__(self) -> None:
        super().__init__("aioservices.fleet")
        self._shown: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if not super().filter(record) or text in self._shown:
            return False
        self._shown.add(text)
        return True


def _print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    note(one_line(str(message)))
