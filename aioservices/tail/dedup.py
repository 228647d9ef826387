"""The lines of one log that were delivered: final below a watermark, counted above it.

Theory of operation
-------------------
A line is known by its time, stream, source and message. Identical lines are different lines: how
many copies of each were delivered is counted, and of an answer those are new that exceed the count.
Below the watermark nothing new can come any more, so that only lines above it need be counted.

In this process a line is counted by Python's own hash, which is quick. A cursor must mean the same
in another process, so it holds a digest of each line. Digests are made when a cursor is written, or
in bulk before too many entries are held for that. Lines are recorded in the order in which they are
delivered. A cursor that stands before the last of them is therefore a prefix of the records: the
consumer's position needs no memory of its own.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import compress

import msgspec

from aioservices.api.models import LogEntry, TailedEntry

from .lines import Lines
from .times import EARLIEST, LATEST, MICROSECOND

__all__ = ["DeliveredLines", "UntimedEntry", "untimed_digest"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_RECORD = struct.Struct("<qQI")  # microseconds since the epoch, digest, copies delivered until then
_WHOLE = struct.Struct(f"{_RECORD.size}s")  # a record as it is
_MOST_PENDING = 4_096  # entries whose digests are still to be made
_UNTIMED = b"untimed"  # the salt of digests of lines without a time
_UNHASHED = 0  # in place of a hash, for a line of another process or without a time


class UntimedEntry(TailedEntry, frozen=True, kw_only=True, rename="camel", gc=False):
    """A line whose time cannot be read, and which has one by its place."""


class DeliveredLines:
    """The lines of one log that were delivered, as far as they can come again.

    Parameters
    ----------
    watermark : datetime, optional
        Below it everything was delivered. None: nothing was.
    capacity : int
        Lines that are counted at most.

    Attributes
    ----------
    watermark : datetime or None
    newest : datetime or None
        The time of the newest line that is counted.
    kept_from : datetime or None
        From when on records are kept: below it everything was delivered, and consumed.
    """

    __slots__ = (
        "_batches_out",
        "_capacity",
        "_copies",
        "_forgotten",
        "_hashes",
        "_next_compaction",
        "_next_eviction",
        "_pending",
        "_records",
        "_restored",
        "kept_from",
        "newest",
        "watermark",
    )

    def __init__(self, watermark: dt.datetime | None = None, *, capacity: int = 500_000) -> None:
        self.watermark = watermark
        self.newest: dt.datetime | None = None
        self._capacity = capacity
        self._copies: dict[int, int] = {}  # by Python's hash
        self._restored: dict[bytes, int] = {}  # by time and digest, of lines from a cursor
        # Of each line above the watermark, and of some below, in the order of delivery:
        self._hashes = array("q")
        self._records = bytearray()  # as far as their digests were made
        self._pending: list[TailedEntry] = []  # the entries of the others
        self._forgotten = 0  # records that were dropped
        self.kept_from = watermark
        self._batches_out = 0
        self._next_compaction = 1_000
        self._next_eviction = capacity

    def __len__(self) -> int:
        return 0 if self.newest is None else len(self._hashes)

    @property
    def is_handed_in(self) -> bool:
        """Whether the consumer has everything that was recorded."""
        return not self._batches_out

    @property
    def recorded(self) -> int:
        """How many lines were ever recorded: a position in the order of delivery."""
        return self._forgotten + len(self._hashes)

    def filter_new(self, lines: Lines) -> list[TailedEntry]:
        """Return the lines of a range that were not delivered; it does not record them yet.

        Copies of a line bear their number, from 0 for the first.
        """
        if not lines.entries:
            return []
        watermark, newest = self.watermark, self.newest
        low = 0 if watermark is None else bisect_left(lines.times, watermark)
        high = low if newest is None else max(low, bisect_right(lines.times, newest))
        fresh = lines.cut(high, len(lines.times))
        _number_copies(fresh)
        if high == low:
            return fresh.entries
        return self._filter_counted(lines.cut(low, high)) + fresh.entries

    def _filter_counted(self, lines: Lines) -> list[TailedEntry]:
        copies, restored, entries = self._copies, self._restored, lines.entries
        keys = _keys(entries)
        if not restored and (not lines.ties or len(set(keys)) == len(keys)):  # no copies: as usual
            return [entry for entry, key in zip(entries, keys, strict=True) if key not in copies]
        seen: dict[int, int] = {}
        new: list[TailedEntry] = []
        for entry, key in zip(entries, keys, strict=True):
            copy = seen.get(key, 0)
            seen[key] = copy + 1
            delivered = copies.get(key, 0)
            if copy >= delivered and restored:
                delivered = max(delivered, restored.get(_digest(entry), 0))
            if copy >= delivered:
                _set_copy(entry, copy)
                new.append(entry)
        return new

    def record(self, entries: list[TailedEntry]) -> int:
        """Record lines, by time, as delivered; those below the watermark need no record.

        Returns
        -------
        int
            How many of them, the last ones, were recorded.
        """
        if not entries:
            return 0
        watermark = self.watermark
        first = 0
        if watermark is not None:
            first = bisect_left(entries, watermark, key=lambda entry: entry.created_at)
        if first == len(entries):
            return 0
        copies, hashes = self._copies, self._hashes
        some = entries[first:] if first else entries
        for entry, key in zip(some, _keys(some), strict=True):
            if isinstance(entry, UntimedEntry):
                hashes.append(_UNHASHED)
                continue
            hashes.append(key)
            if copies.get(key, 0) <= entry.copy:
                copies[key] = entry.copy + 1
        self._pending += some
        last = some[-1].created_at
        self.newest = last if self.newest is None else max(self.newest, last)
        if len(self._pending) > _MOST_PENDING:
            self._make_digests(len(self._pending))
        return len(some)

    # Watermark

    def advance_watermark(self, watermark: dt.datetime | None) -> None:
        """Make final what lies below a time: nothing new can come there any more."""
        if watermark is None or (self.watermark is not None and watermark <= self.watermark):
            return
        self.watermark = watermark
        if self.newest is not None and self.newest < watermark:
            self.newest = None

    def hand_out(self) -> None:
        """Count a batch on its way to the consumer, whose cursor stands before it."""
        self._batches_out += 1

    def hand_in(self, watermark: dt.datetime | None) -> None:
        """Count a batch as consumed, and keep no record below its watermark."""
        self._batches_out -= 1
        if self.kept_from is None or (watermark is not None and watermark > self.kept_from):
            self.kept_from = watermark

    def forget(self) -> None:
        """Drop records that neither a poll nor the consumer's cursor needs, if they are many."""
        if len(self._hashes) >= self._next_compaction or (self.newest is None and self._hashes):
            self._compact()

    def evict(self) -> tuple[dt.datetime | None, dt.datetime] | None:
        """Make the older half final where more is counted than can be.

        Returns
        -------
        tuple of (datetime or None, datetime) or None
            Between which times a line that turns up late will not be found any more.
        """
        if len(self._hashes) <= self._next_eviction:
            return None
        self._make_digests(len(self._pending))
        least = None if self.watermark is None else _micros(self.watermark)
        times = sorted(
            at for at, _, _ in _RECORD.iter_unpack(self._records) if least is None or at >= least
        )
        excess = len(times) - self._capacity
        if excess <= 0:
            self._next_eviction = len(self._hashes) - excess
            return None
        self._next_eviction = len(self._hashes) + self._capacity // 2
        before, watermark = self.watermark, _from_micros(times[len(times) // 2] + 1)
        self.advance_watermark(watermark)
        return before, watermark

    def _compact(self) -> None:
        """Drop the records of lines that are final for the consumer too."""
        if not self._batches_out:
            self.kept_from = self.watermark
        bound = self.kept_from
        if bound is None:
            return
        least = _micros(bound)
        self._make_digests(len(self._pending))
        is_kept = [at >= least for at, _, _ in _RECORD.iter_unpack(self._records)]
        records = (record for (record,) in _WHOLE.iter_unpack(self._records))
        hashes = array("q", compress(self._hashes, is_kept))
        self._forgotten += len(self._hashes) - len(hashes)
        self._hashes, self._records = hashes, bytearray(b"".join(compress(records, is_kept)))
        # Copies of a line have the same time, so that all of them are kept, or none.
        self._copies = {key: self._copies[key] for key in hashes if key != _UNHASHED}
        self._restored = {
            key: count
            for key, count in self._restored.items()
            if int.from_bytes(key[:8], "little", signed=True) >= least
        }
        self._next_compaction = max(1_000, 2 * len(hashes))
        self._next_eviction = self._capacity

    def times_since(self, start: dt.datetime, *, least: int) -> list[dt.datetime]:
        """Return the times of lines that were delivered, from some time on: those of most of them.

        None if they are fewer than `least`. The search takes the lines for delivered in the order
        of their time, as most are.
        """
        if len(self._hashes) < least:
            return []
        count = len(self._records) // _RECORD.size
        first = bisect_left(range(count), _micros(start), key=self._time_at)
        newer = bisect_left(self._pending, start, key=lambda entry: entry.created_at)
        if count - first + len(self._pending) - newer < least:
            return []
        records = self._records[first * _RECORD.size :]
        times = [_from_micros(at) for at, _, _ in _RECORD.iter_unpack(records)]
        times += [entry.created_at for entry in self._pending[newer:]]
        return sorted(time for time in times if time >= start)

    def _time_at(self, place: int) -> int:
        return int(_RECORD.unpack_from(self._records, place * _RECORD.size)[0])

    # Cursors

    def pack(self, position: int | None = None, more: Iterable[TailedEntry] = ()) -> str:
        """Write what was recorded up to a position as text, about 27 bytes a line.

        Parameters
        ----------
        position : int, optional
            A value of `recorded`. Default: all that was recorded.
        more : iterable of TailedEntry
            Lines that are to be written too.
        """
        count = len(self._hashes) if position is None else max(0, position - self._forgotten)
        self._make_digests(count - len(self._records) // _RECORD.size)
        records = bytes(self._records[: count * _RECORD.size])
        return base64.b64encode(records + b"".join(map(_record, more))).decode()

    @classmethod
    def unpack(cls, watermark: dt.datetime | None, text: str) -> DeliveredLines:
        """Read back what `pack` wrote.

        Raises
        ------
        ValueError
            If it is something else.
        """
        packed = base64.b64decode(text, validate=True)
        if len(packed) % _RECORD.size:
            raise ValueError("it was cut")
        delivered = cls(watermark)
        delivered._records = bytearray(packed)
        delivered._hashes = array("q", [_UNHASHED]) * (len(packed) // _RECORD.size)
        newest: int | None = None
        for at, digest, count in _RECORD.iter_unpack(packed):
            key = _KEY.pack(at, digest)
            delivered._restored[key] = max(delivered._restored.get(key, 0), count)
            newest = at if newest is None else max(newest, at)
        if newest is not None:
            delivered.newest = _from_micros(newest)
        return delivered

    def restored_copies(self, at: dt.datetime, digest: bytes) -> int:
        """Return to how many copies of a line another process has given a time."""
        return self._restored.get(_KEY_TIME.pack(_micros(at)) + digest, 0)

    def restored_times(self, digest: bytes) -> list[tuple[dt.datetime, dt.datetime | None]]:
        """Return the times that another process has given to the copies of a line without one.

        Each comes with that of the next line that was delivered.
        """
        times = sorted({_KEY.unpack(key)[0] for key in self._restored})
        found: list[tuple[dt.datetime, dt.datetime | None]] = []
        for place, at in enumerate(times):
            copies = self._restored.get(_KEY_TIME.pack(at) + digest, 0)
            following = _from_micros(times[place + 1]) if place + 1 < len(times) else None
            found += [(_from_micros(at), following)] * copies
        return found

    def _make_digests(self, count: int) -> None:
        """Make the digests of the next entries."""
        if count > 0:
            self._records += b"".join(map(_record, self._pending[:count]))
            del self._pending[:count]


_KEY, _KEY_TIME = struct.Struct("<qQ"), struct.Struct("<q")


def _number_copies(lines: Lines) -> None:
    """Give the copies of a line within one range their numbers."""
    ties, entries, times = lines.ties, lines.entries, lines.times
    seen: dict[TailedEntry, int] = {}
    at: dt.datetime | None = None
    for place in ties:
        if times[place] != at:
            at = times[place]
            seen = {entries[place]: 1}
        following = entries[place + 1]
        copy = seen.get(following, 0)
        seen[following] = copy + 1
        if copy:
            _set_copy(following, copy)


def _set_copy(entry: TailedEntry, copy: int) -> None:
    if entry.copy != copy:
        msgspec.structs.force_setattr(entry, "copy", copy)


def _keys(entries: list[TailedEntry]) -> list[int]:
    """Return hashes of what lines are known by; those of the times themselves take much longer."""
    return [
        hash((entry.created_at - _EPOCH, entry.message, entry.stream, entry.source))
        for entry in entries
    ]


def _record(entry: TailedEntry) -> bytes:
    return _digest(entry) + (entry.copy + 1).to_bytes(4, "little")


def _digest(entry: TailedEntry) -> bytes:
    """Return the time of a line and a digest of what else it is known by."""
    salt = _UNTIMED if isinstance(entry, UntimedEntry) else b""
    return _micros(entry.created_at).to_bytes(8, "little", signed=True) + _text_digest(entry, salt)


def untimed_digest(line: LogEntry) -> bytes:
    """Return the digest of a line without a time: no line that has one has the same."""
    return _text_digest(line, _UNTIMED)


def _text_digest(line: LogEntry, salt: bytes) -> bytes:
    text = f"{line.stream}\0{line.source}\0{line.message}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, salt=salt).digest()


def _micros(time: dt.datetime) -> int:
    return (time - _EPOCH) // MICROSECOND


def _from_micros(micros: int) -> dt.datetime:
    try:
        return _EPOCH + dt.timedelta(microseconds=micros)
    except OverflowError:
        return EARLIEST if micros < 0 else LATEST
