"""The session of a command, and what it says of trouble on the way."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import traceback
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from aioservices.client import Services
from aioservices.errors import APIError, ConnectionFailedError, RateLimitedError, RequestError
from aioservices.http.response import http_date
from aioservices.http.retry import RetryPolicy
from aioservices.http.url import validate_base_url
from aioservices.tail import LogGap
from aioservices.terminal.sanitize import one_line

from .console import note
from .errors import MISUSED, CommandError, explain, first_of
from .times import in_words

__all__ = ["Connection"]

T = TypeVar("T")

log = logging.getLogger(__name__)

_HASTY = RetryPolicy(max_attempts=3, max_elapsed=5.0, base_delay=0.3)
_HASTY_TIMEOUT = 10.0
_PATIENT = RetryPolicy()
_TAIL = "aioservices.tail"
_SERVED_AGAIN = "the log is served again"
_TRANSIENT = frozenset({429, 502, 503, 504})
_WORTH_TELLING = 2.0  # seconds of waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How a command reaches the API.

    Attributes
    ----------
    url : str or None
        None: ``CIVIS_API_ENDPOINT``, else the platform's address.
    timeout : float
        Seconds for an attempt of a request.
    verbose : bool
        Whether every attempt is told on standard error.
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
            If it is no URL, or not a safe one.
        """
        try:
            return validate_base_url(self.url)
        except ValueError as exc:
            message = str(exc).replace("base_url", "--url").partition(", or say allow_http")[0]
            message = message.replace("give the key as api_key", "put the key into CIVIS_API_KEY")
            raise CommandError(message, status=MISUSED) from None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[Services, None]:
        """Open a session, which ends with the block; whatever the block raises is explained."""
        base_url = self.base_url
        with _told(base_url, verbose=self.verbose):
            try:
                services = Services(
                    base_url=base_url,
                    timeout=self.timeout,
                    retry=_PATIENT,
                    user_agent="aioservices-cli",
                )
            except ValueError as exc:  # the key's form
                raise CommandError(f"CIVIS_API_KEY: {exc}", status=MISUSED) from None
            async with services:
                try:
                    yield services
                except Exception as exc:
                    if _is_closed_pipe(exc):
                        raise
                    log.debug("the command failed", exc_info=exc)
                    raise CommandError(*explain(exc, url=base_url)) from exc

    async def reach(self, services: Services, call: Callable[[Services], Awaitable[T]]) -> T:
        """Make the first call of a command: it is told soon if there is no network.

        Where the server answers at all, everything is tried as patiently as ever.

        Parameters
        ----------
        services : Services
        call : callable
            Given a session, makes the call. It may be called twice.

        Returns
        -------
        T
            What the call returned.
        """
        hasty = services.with_options(retry=_HASTY, timeout=min(self.timeout, _HASTY_TIMEOUT))
        try:
            return await call(hasty)
        except ConnectionFailedError as exc:
            if not exc.sent:
                raise
        except APIError as exc:
            if exc.status not in _TRANSIENT:
                raise
            wait = exc.retry_after if isinstance(exc, RateLimitedError) else None
            if wait is not None and wait > _PATIENT.max_elapsed:
                raise  # it would not be waited for
            if wait is not None and wait >= _WORTH_TELLING:
                # The session waits in silence for what it has been told.
                said = f"the rate limit is reached: trying again in {in_words(wait)}"
                note(said)
        return await call(services)

    async def now(self, services: Services) -> dt.datetime:
        """Ask the server what time it is: its clock has dated the lines, ours may be wrong."""
        response = await self.reach(services, lambda view: view.raw.list(limit=1))
        return http_date(response.headers) or dt.datetime.now(dt.UTC)


def _is_closed_pipe(error: BaseException) -> bool:
    return isinstance(first_of(error), BrokenPipeError)


@contextlib.contextmanager
def _told(url: str, *, verbose: bool) -> Generator[None, None, None]:
    """Show on standard error what the library logs."""
    logger = logging.getLogger("aioservices")
    handler = _Notices(url, verbose=verbose)
    tail = logging.getLogger(_TAIL)
    before = logger.level, logger.propagate, tail.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    logger.propagate = False
    tail.setLevel(logging.DEBUG if verbose else logging.INFO)  # it tells when an outage is over
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LogGap)  # it is logged, too
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        tail.setLevel(before[2])


class _Notices(logging.Handler):
    """Makes one line of a record, for a person."""

    def __init__(self, url: str, *, verbose: bool) -> None:
        super().__init__()
        self._url = url
        self._verbose = verbose
        self._outages: Counter[str] = Counter()
        self._ended = 0

    def emit(self, record: logging.LogRecord) -> None:
        text = one_line(record.getMessage())
        match record.args:
            case (RequestError() as error, float() as delay) if not self._verbose:
                if delay < _WORTH_TELLING:
                    return
                trouble = explain(error, url=self._url).text.rpartition(": ")[0]
                text = f"{trouble}: trying again in {in_words(delay)}"
            case (RequestError() as error,) if record.name == _TAIL and not self._verbose:
                text = self._outage(error)
            case _ if record.name.startswith(_TAIL) and record.levelno < logging.WARNING:
                if not self._verbose:
                    text = self._end_of_outage(text)
            case _:
                pass
        if not text:
            return
        note(text)
        if record.exc_info:
            traceback.print_exception(record.exc_info[1])

    def _outage(self, error: RequestError) -> str:
        """Say that a log is not served: once, where the same holds up many logs."""
        if isinstance(error, RateLimitedError) and error.retry_after is not None:
            trouble = f"the rate limit is reached: it goes on in {in_words(error.retry_after)}"
        else:
            trouble = explain(error, url=self._url).text.rpartition(": ")[0] + ": trying again"
        known = self._outages[trouble]
        self._outages[trouble] += 1
        return "" if known else f"the log is not served: {trouble}"

    def _end_of_outage(self, text: str) -> str:
        """Say that logs are served again: once, with the last of them."""
        if text != _SERVED_AGAIN:
            return ""
        self._ended += 1
        if self._ended < self._outages.total():
            return ""
        self._outages.clear()
        self._ended = 0
        return text
