"""What goes into a store of log lines and comes out of it, but for the lines themselves."""

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
    """The right to read one service's log for a while, and where to go on.

    Attributes
    ----------
    service_id : int
    cursor : LogCursor or None
        Where its tail goes on; None: from the beginning.
    commit_id : UUID
        What the next `PendingBatch` is based on.
    seq : int
        Lines kept so far.
    """

    service_id: int
    cursor: LogCursor | None
    commit_id: UUID
    seq: int


class LeaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a round of leasing brought.

    Attributes
    ----------
    granted : tuple of Lease
        Tails to open.
    held : frozenset of int
        Services that were held before, and still are.
    excess : int
        How many of the held ones are more than a fair share: another daemon has
        come. Stop that many tails when convenient, and `Store.release` them.
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
        Between which times; None is open.
    noted_at : datetime or None
        When it was found.
    """

    service_id: int
    deployment_id: int
    start: dt.datetime | None
    end: dt.datetime | None
    noted_at: dt.datetime | None = None


class PendingBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of one service that wait to be kept, and the cursor that stands behind them.

    Attributes
    ----------
    service_id : int
    service_name : str or None
    base : UUID
        The commit id that the tail stands on.
    commit_id : UUID
        The random one that it stands on afterwards; the same in every repetition.
    cursor : LogCursor
    entries : sequence of TailedEntry
        In their order. May be empty: then only the cursor moves.
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
    """What a commit did.

    Attributes
    ----------
    kept : dict of int to int
        By service how many lines are kept now.
    fenced : frozenset of int
        Services whose tail stands elsewhere: nothing of theirs was kept. Forget
        what is in memory of them, and lease them again.
    """

    kept: Mapping[int, int]
    fenced: frozenset[int]


class DaemonInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who collects into a store.

    Attributes
    ----------
    host, version : str
    key_ids : tuple of bytes
        Hashes of the API keys that it uses, with the store's salt.
    tails : int
        How many it reads.
    """

    host: str
    version: str
    key_ids: tuple[bytes, ...]
    tails: int


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What may be removed.

    Attributes
    ----------
    max_age : timedelta or None
        Lines that were written longer ago.
    max_bytes : int or None
        The oldest lines, when the store is larger.
    forwarded_to : tuple of str
        Lines that all of these forwarders have sent, however new. Empty: none.
    server_time : datetime or None
        What time it is by the clock that dates the lines, if that is known. A store whose own clock
        is ahead of it goes by this one, so that a wrong clock removes no line too early.
    """

    max_age: dt.timedelta | None = None
    max_bytes: int | None = None
    forwarded_to: tuple[str, ...] = ()
    server_time: dt.datetime | None = None

    def __post_init__(self) -> None:
        validate_optional_int(self.max_bytes, "max_bytes", least=1)

    def time(self, own: dt.datetime) -> dt.datetime:
        """Say by which time lines are too old, where a store's own clock shows another one."""
        return own if self.server_time is None else min(own, self.server_time)


class RemovedLines(msgspec.Struct, frozen=True, kw_only=True):
    """What `Store.retain` removed.

    Attributes
    ----------
    lines : int
    unsent : dict of str to int
        By forwarder how many of them it had not sent.
    """

    lines: int
    unsent: Mapping[str, int] = {}


class ServiceAudit(msgspec.Struct, frozen=True, kw_only=True):
    """Whether what is stored of a service is whole.

    Attributes
    ----------
    service_id : int
    service_name : str or None
    lines : int
        Kept and still there.
    removed : int
        Taken away by retention.
    seq : int
        Kept in all: ``lines + removed`` if all is well.
    first_at, last_at : datetime or None
        When the oldest and the newest line was written.
    kept_at : datetime or None
        When the last one was kept.
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
    """Whether a store is whole.

    Attributes
    ----------
    services : tuple of ServiceAudit
    bytes : int
        How large the store is.
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
    """A service that a store knows.

    Attributes
    ----------
    service_id : int
    service_name : str or None
    seq : int
        Lines kept in all.
    kept_at : datetime or None
    """

    service_id: int
    service_name: str | None
    seq: int
    kept_at: dt.datetime | None


class ForwardPosition(msgspec.Struct, frozen=True, kw_only=True):
    """How far a forwarder is with one service.

    Attributes
    ----------
    forwarder : str
        Its name.
    service_id : int
    seq : int
        Everything up to this line was sent, or rejected.
    behind : int
        Lines that are stored and not sent yet.
    is_ours : bool
        Whether this collector should send them: no other one has the service.
    """

    forwarder: str
    service_id: int
    seq: int
    behind: int
    is_ours: bool = True


class RejectedLines(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters: lines that a destination will not take.

    Attributes
    ----------
    forwarder : str
    service_id : int
    first_seq, last_seq : int
        Which lines.
    count : int
        How many of them were rejected: fewer than there are, if the destination did not say which.
    reason : str
    at : datetime or None
        When.
    """

    forwarder: str
    service_id: int
    first_seq: int
    last_seq: int
    count: int
    reason: str
    at: dt.datetime | None = None
