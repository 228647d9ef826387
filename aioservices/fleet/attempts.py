"""When an attempt of a call is under way, and when it was turned away and waits to be repeated."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from weakref import WeakSet

from aioservices.concurrency import BackgroundTasks
from aioservices.errors import RequestError
from aioservices.http.options import RequestInfo, ResponseInfo

from .outcome import is_refusal, may_have_acted
from .session import Session

__all__ = ["observe", "telling"]

# By session, all of whose views share their tasks: observers cannot be removed, so one must do.
_observed: WeakSet[BackgroundTasks] = WeakSet()
_tell: ContextVar[Callable[[bool], None] | None] = ContextVar("_tell", default=None)


def observe(session: Session, tasks: BackgroundTasks) -> None:
    """Have `telling` told of the calls of a session.

    Parameters
    ----------
    session : Session
    tasks : BackgroundTasks
        Its own.
    """
    if tasks not in _observed:
        _observed.add(tasks)
        session.on_request(_begins)
        session.on_response(_ended)


@contextmanager
def telling(tell: Callable[[bool], None]) -> Generator[None]:
    """Have a function told of every attempt of the calls that are made in this context.

    Parameters
    ----------
    tell : callable
        Given True when an attempt begins, and False when it has ended without any effect: when the
        server has turned it away, or it was never sent. Any other end is told by the call itself.
    """
    token = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(token)


def _begins(_: RequestInfo) -> None:
    if tell := _tell.get():
        tell(True)


def _ended(info: ResponseInfo) -> None:
    tell = _tell.get()
    if tell is None:
        return
    if info.status is not None:
        if is_refusal(info.status):
            tell(False)
        return
    # Without an answer it is the error on its way to the caller that tells whether anything was
    # sent. A cancellation is none of these: the request may have arrived.
    error = sys.exception()
    if isinstance(error, RequestError) and not may_have_acted(error):
        tell(False)
