"""The errors of stores and of forwarders."""

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
    """A store cannot be used, and waiting does not help."""


class StoreConfigError(StoreError):
    """The address of a store is invalid; the message says what to write instead."""


class StoreUnavailableError(StoreError):
    """The store is unavailable for now; the same call may be repeated."""


class StoreFullError(StoreUnavailableError):
    """There is no space left; nothing was stored, and the call may be repeated later."""


class StoreLockedError(StoreError):
    """Another process owns the store.

    Attributes
    ----------
    pid : int or None
        The process that owns it, if that is known.
    """

    def __init__(self, message: str, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class StoreCorruptError(StoreError):
    """The store was truncated or changed by something else; the message names the file."""


class StoreVersionError(StoreError):
    """The store was written by a newer release than this one."""


class PositionMovedError(Exception):
    """A forwarder's position is not where a move expects it; only the stores themselves use it."""


class ForwardError(ServicesError):
    """A destination does not accept lines now; they are sent again until it does.

    A forwarder raises it to say more than the original exception.

    Parameters
    ----------
    message : str
    retry_after : float, optional
        Seconds after which the destination asks for the next attempt.
    needs_attention : bool, default False
        Whether somebody must resolve it, such as a wrong password: the collector then
        reports that it is not ready.

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
    """A destination will never accept this batch: it is halved until the line at fault is found.

    That line becomes a dead letter, with this message as the reason.
    """
