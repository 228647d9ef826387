"""What can be wrong with a store, or with where its lines are forwarded to."""

from __future__ import annotations

from aioservices.errors import ServicesError

__all__ = [
    "ForwardError",
    "LinesRefusedError",
    "PositionMovedError",
    "StoreConfigError",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "StoreLockedError",
    "StoreUnavailableError",
    "StoreVersionError",
]


class StoreError(ServicesError):
    """Something is wrong with a store, and waiting does not help."""


class StoreConfigError(StoreError):
    """The address of a store cannot be used: the message says what to write instead."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached or does not answer just now: the same call may be made again."""


class StoreFullError(StoreUnavailableError):
    """There is no space left; nothing was kept, and the call may be made again once there is."""


class StoreLockedError(StoreError):
    """Another process owns the store.

    Attributes
    ----------
    pid : int or None
        The process that holds it, if that is known.
    """

    def __init__(self, message: str, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class StoreCorruptError(StoreError):
    """The store was cut or changed by something else; the message names the file."""


class StoreVersionError(StoreError):
    """The store was written by a newer release than this one."""


class PositionMovedError(Exception):
    """A forwarder's position is not where a move expects it; only the stores themselves use it."""


class ForwardError(ServicesError):
    """A destination does not take lines now: they are sent again later, however long it takes.

    A forwarder raises it where it knows more than its exception says.

    Parameters
    ----------
    message : str
    retry_after : float, optional
        Seconds that the destination asked for.
    needs_attention : bool, default False
        Whether somebody has to do something about it, as with a wrong password: the
        collector then reports that it is not ready.

    Attributes
    ----------
    retry_after : float or None
    needs_attention : bool
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, needs_attention: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.needs_attention = needs_attention


class LinesRefusedError(ServicesError):
    """A destination will never take this batch: it is halved until the line at fault is found.

    That line becomes a dead letter, with this message as its reason.
    """
