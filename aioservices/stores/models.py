"""The values that stores accept and return, apart from the lines themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from aioservices.api.models import TailedEntry
from aioservices.tail import LogCursor
from aioservices.validation import validate_optional_int

__all__ = [
    "DaemonInfo",
    "ForwardPosition",
    "KeepResult",
    "Lease",
    "LeaseResult",
    "PendingBatch",
    "RejectedLines",
    "RemovedLines",
    "Retention",
    "ServiceAudit",
    "StoreAudit",
    "StoredGap",
    "StoredService",
]


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to read the log of one service for a while, and where to continue.

    Attributes
    ----------
    service_id : int
    cursor : LogCursor or None
        Where to continue; None: from the beginning.
    commit_id : UUID
        The base of the next `PendingBatch`.
    seq : int
        The number of lines stored so far.
    """

    service_id: int
    cursor: LogCursor | None
    commit_id: UUID
    seq: int


class LeaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `Store.lease`.

    Attributes
    ----------
    granted : tuple of Lease
        Services to read from now on.
    held : frozenset of int
        Services that are still held.
    excess : int
        How many held services exceed a fair share, because another daemon has started. Stop
        reading that many, and `Store.release` them.
    """

    granted: tuple[Lease, ...]
    held: frozenset[int]
    excess: int = 0


class StoredGap(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a log whose lines exist and were not returned by the server.

    Attributes
    ----------
    service_id, deployment_id : int
    start, end : datetime or None
        The time range; None is open.
    noted_at : datetime or None
        When the gap was found.
    """

    service_id: int
    deployment_id: int
    start: dt.datetime | None
    end: dt.datetime | None
    noted_at: dt.datetime | None = None


class PendingBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of one service to be stored, and the cursor behind them.

    Attributes
    ----------
    service_id : int
    service_name : str or None
    base : UUID
        The current commit id of the tail.
    commit_id : UUID
        The random commit id after the commit; the same in every repetition.
    cursor : LogCursor
    entries : sequence of TailedEntry
        In order. May be empty: then only the cursor moves.
    gaps : tuple of StoredGap
    """

    service_id: int
    service_name: str | None
    base: UUID
    commit_id: UUID
    cursor: LogCursor
    entries: Sequence[TailedEntry]
    gaps: tuple[StoredGap, ...] = ()


class KeepResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a commit.

    Attributes
    ----------
    kept : dict of int to int
        The number of lines stored in total, by service.
    fenced : frozenset of int
        Services whose tail has another commit id: none of their lines were stored. Discard
        their lines in memory, and lease them again.
    """

    kept: Mapping[int, int]
    fenced: frozenset[int]


class DaemonInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon that collects into a store.

    Attributes
    ----------
    host, version : str
    key_ids : tuple of bytes
        Hashes of the API keys that it uses, with the store's salt.
    tails : int
        How many logs it reads.
    """

    host: str
    version: str
    key_ids: tuple[bytes, ...]
    tails: int


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Rules for removing lines.

    Attributes
    ----------
    max_age : timedelta or None
        Remove lines that are older.
    max_bytes : int or None
        Remove the oldest lines while the store is larger.
    forwarded_to : tuple of str
        Remove lines that all of these forwarders have sent, however new. Empty: none.
    server_time : datetime or None
        The time of the clock that dates the lines, if known. A store whose own clock is ahead uses
        this time, so that a wrong clock does not remove lines too early.
    """

    max_age: dt.timedelta | None = None
    max_bytes: int | None = None
    forwarded_to: tuple[str, ...] = ()
    server_time: dt.datetime | None = None

    def __post_init__(self) -> None:
        validate_optional_int(self.max_bytes, "max_bytes", least=1)

    def time(self, own: dt.datetime) -> dt.datetime:
        """Return the current time for these rules, given that of the store's own clock.

        Not part of the public interface.
        """
        return own if self.server_time is None else min(own, self.server_time)


class RemovedLines(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `Store.retain`.

    Attributes
    ----------
    lines : int
    unsent : dict of str to int
        How many of them were not sent yet, by forwarder.
    """

    lines: int
    unsent: Mapping[str, int] = {}


class ServiceAudit(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the stored lines of a service are complete.

    Attributes
    ----------
    service_id : int
    service_name : str or None
    lines : int
        Lines that are in the store.
    removed : int
        Lines that were removed.
    seq : int
        Lines stored in total: ``lines + removed`` if nothing is wrong.
    first_at, last_at : datetime or None
        When the oldest and the newest line was written.
    kept_at : datetime or None
        When the last line was stored.
    gaps : int
    problems : tuple of str
        What is wrong, in words.
    """

    service_id: int
    service_name: str | None
    lines: int
    removed: int
    seq: int
    first_at: dt.datetime | None
    last_at: dt.datetime | None
    kept_at: dt.datetime | None
    gaps: int
    problems: tuple[str, ...] = ()


class StoreAudit(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a store is complete.

    Attributes
    ----------
    services : tuple of ServiceAudit
    bytes : int
        The size of the store.
    problems : tuple of str
        What is wrong with the store itself.
    """

    services: tuple[ServiceAudit, ...]
    bytes: int
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not any(each.problems for each in self.services)


class StoredService(msgspec.Struct, frozen=True, kw_only=True):
    """A service in a store.

    Attributes
    ----------
    service_id : int
    service_name : str or None
    seq : int
        Lines stored in total.
    kept_at : datetime or None
    """

    service_id: int
    service_name: str | None
    seq: int
    kept_at: dt.datetime | None


class ForwardPosition(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a forwarder in the lines of one service.

    Attributes
    ----------
    forwarder : str
        Its name.
    service_id : int
    seq : int
        Everything up to this line was sent, or rejected.
    behind : int
        Stored lines that are not sent yet.
    is_ours : bool
        Whether this collector should send them, because no other one has the service.
    """

    forwarder: str
    service_id: int
    seq: int
    behind: int
    is_ours: bool = True


class RejectedLines(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters: lines that a destination does not accept.

    Attributes
    ----------
    forwarder : str
    service_id : int
    first_seq, last_seq : int
        Which lines.
    count : int
        How many of these lines were rejected. Not all, if the destination did not say which.
    reason : str
    at : datetime or None
        When they were rejected.
    """

    forwarder: str
    service_id: int
    first_seq: int
    last_seq: int
    count: int
    reason: str
    at: dt.datetime | None = None
