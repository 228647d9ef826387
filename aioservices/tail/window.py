"""Which lines were delivered: counted above a floor, final below it.

Pure. A line is known by its time, stream, source and message. Identical lines
are different lines: their copies are counted, never collapsed.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import compress, count, islice
from operator import attrgetter, eq

import msgspec

from aioservices.api.models import TailedEntry

from .lines import created_at

__all__ = ["Window"]

message = attrgetter("message")

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_RECORD = struct.Struct("<qQI")  # microseconds since the epoch, hash, copies


class Window:
    """The lines that were delivered, as far as they can come again.

    Parameters
    ----------
    floor : datetime, optional
        Below it everything was delivered. None: nothing was.
    cap : int
        Lines that are counted at most; more of them raise the floor.
    """

    def __init__(self, floor: dt.datetime | None = None, *, cap: int = 500_000) -> None:
        self.floor = floor
        self.raised = 0
        self._cap = cap
        self._newest: dt.datetime | None = None
        # Time and hash in one integer: about 100 bytes a line, and ordered by time.
        self._copies: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._copies)

    @property
    def newest(self) -> dt.datetime | None:
        """The time of the newest line that is counted."""
        return self._newest

    def admit(self, entries: list[TailedEntry]) -> list[TailedEntry]:
        """Pick the lines that were not delivered; it does not count them yet.

        Parameters
        ----------
        entries : list of TailedEntry
            What a stretch of the log holds, by time.

        Returns
        -------
        list of TailedEntry
            Copies of a line bear their number, from 0 for the first.
        """
        floor, newest = self.floor, self._newest
        low = 0 if floor is None else bisect_left(entries, floor, key=created_at)
        high = low if newest is None else max(low, bisect_right(entries, newest, key=created_at))
        fresh = entries if high == 0 else entries[high:]
        _number_copies(fresh)
        if high == low:
            return fresh
        seen: dict[int, int] = {}
        new: list[TailedEntry] = []
        for entry in islice(entries, low, high):
            key = _key(entry)
            copy = seen.get(key, 0)
            seen[key] = copy + 1
            if copy >= self._copies.get(key, 0):
                _set_copy(entry, copy)
                new.append(entry)
        return new + fresh

    def count(self, entries: Iterable[TailedEntry]) -> None:
        """Note lines as delivered; those below the floor need no note."""
        floor, copies = self.floor, self._copies
        for entry in entries:
            if floor is None or entry.created_at >= floor:
                key = _key(entry)
                copies[key] = max(copies.get(key, 0), entry.copy + 1)
                if self._newest is None or entry.created_at > self._newest:
                    self._newest = entry.created_at
        if len(copies) > self._cap:
            self._shed()

    def raise_floor(self, floor: dt.datetime | None) -> None:
        """Forget what lies below a time: nothing can come there any more."""
        if floor is None or (self.floor is not None and floor <= self.floor):
            return
        self.floor = floor
        bound = _micros(floor) << 64
        if self._copies and min(self._copies) < bound:
            self._copies = {key: n for key, n in self._copies.items() if key >= bound}
        if self._newest is not None and self._newest < floor:
            self._newest = None

    def pack(self) -> str:
        """Write the counts as text, about 27 bytes a line."""
        records = (
            _RECORD.pack(key >> 64, key & 0xFFFF_FFFF_FFFF_FFFF, copies)
            for key, copies in sorted(self._copies.items())
        )
        return base64.b64encode(b"".join(records)).decode()

    def unpack(self, text: str) -> None:
        """Read back what `pack` wrote.

        Raises
        ------
        ValueError
            If it is something else.
        """
        packed = base64.b64decode(text, validate=True)
        if len(packed) % _RECORD.size:
            raise ValueError("it was cut")
        self._copies = {(at << 64) + digest: n for at, digest, n in _RECORD.iter_unpack(packed)}
        if self._copies:
            try:
                self._newest = _EPOCH + dt.timedelta(microseconds=max(self._copies) >> 64)
            except OverflowError:
                raise ValueError("a time is out of range") from None

    def _shed(self) -> None:
        """Give up the older half, rather than any line inside the window."""
        keys = sorted(self._copies)
        middle = keys[len(keys) // 2] >> 64
        self.raise_floor(_EPOCH + dt.timedelta(microseconds=middle + 1))
        self.raised += 1


def _number_copies(entries: list[TailedEntry]) -> None:
    """Give the copies of a line within one list their numbers."""
    times = list(map(created_at, entries))
    ties = list(compress(count(1), map(eq, times, islice(times, 1, None))))
    if not ties:
        return  # no two lines at one time, hence no copies: the common case, at little cost
    tied = [entries[place] for place in sorted({*ties, *(place - 1 for place in ties)})]
    if len(set(map(message, tied))) == len(tied):
        return
    at: dt.datetime | None = None
    seen: dict[TailedEntry, int] = {}
    for entry in tied:
        if entry.created_at != at:
            at = entry.created_at
            seen.clear()
        copy = seen.get(entry, 0)
        seen[entry] = copy + 1
        _set_copy(entry, copy)


def _set_copy(entry: TailedEntry, copy: int) -> None:
    if entry.copy != copy:
        msgspec.structs.force_setattr(entry, "copy", copy)


def _micros(time: dt.datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _key(entry: TailedEntry) -> int:
    text = f"{entry.stream}\0{entry.source}\0{entry.message}"
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (_micros(entry.created_at) << 64) + int.from_bytes(digest, "little")
