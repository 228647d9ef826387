"""Stored lines, and the conversion of lines that were read; pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from aioservices.api.models import TailedEntry, Timestamp

from .severity import severity_of

__all__ = ["Row", "StoredEntry", "from_micros", "rows_of", "to_json_line", "to_micros"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_NUL_SYMBOL = "\u2400"


class StoredEntry(TailedEntry, frozen=True, kw_only=True, rename="camel", gc=False):
    """A line from a store.

    It also has all attributes of a `TailedEntry`.

    Attributes
    ----------
    service_name : str or None
        The current name of the service.
    seq : int
        1, 2, 3, ... for each service, in the order in which lines were stored.
    kept_at : datetime
        When it was stored, by the store's clock.
    severity : int or None
        1 to 24, as in OpenTelemetry, if the line contains its severity.
    raw : bytes or None
        The exact bytes of the message, if its text had to be altered: NUL becomes U+2400
        in `message`, and a lone surrogate becomes U+FFFD.
    """

    service_name: str | None = None
    seq: int
    kept_at: Timestamp
    severity: int | None = None
    raw: bytes | None = None

    @property
    def line_id(self) -> str:
        """A hash of the line that is the same whenever and however it is read."""
        return self.original().line_id

    def original(self) -> TailedEntry:
        """Return the line as it was read."""
        message = self.message
        if self.raw is not None:
            message = self.raw.decode("utf-8", "surrogatepass")
        return TailedEntry(
            message=message,
            stream=self.stream,
            created_at=self.created_at,
            source=self.source,
            service_id=self.service_id,
            deployment_id=self.deployment_id,
            copy=self.copy,
        )


class Row(NamedTuple):
    """A line as databases store it: times are microseconds since 1970."""

    seq: int
    created_at: int
    kept_at: int
    deployment_id: int
    copy: int
    severity: int | None
    stream: str | None
    source: str | None
    message: str | None
    raw: bytes | None

    def entry(self, service_id: int, service_name: str | None) -> StoredEntry:
        """Convert it to what readers get."""
        return StoredEntry(
            service_id=service_id,
            service_name=service_name,
            deployment_id=self.deployment_id,
            seq=self.seq,
            created_at=from_micros(self.created_at),
            kept_at=from_micros(self.kept_at),
            copy=self.copy,
            severity=self.severity,
            stream=self.stream,
            source=self.source,
            message=self.message,
            raw=self.raw,
        )


def to_micros(at: dt.datetime) -> int:
    """Convert a time to microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> dt.datetime:
    """Convert microseconds since 1970 to a time."""
    return _EPOCH + dt.timedelta(microseconds=micros)


def rows_of(entries: Iterable[TailedEntry], seq: int, kept_at: int) -> Iterator[Row]:
    """Number lines from ``seq + 1``, and make their text acceptable to every database."""
    for number, entry in enumerate(entries, seq + 1):
        text, raw = _storable(entry.message)
        yield Row(
            number,
            (entry.created_at - _EPOCH) // _MICROSECOND,
            kept_at,
            entry.deployment_id,
            entry.copy,
            None if text is None else severity_of(text),
            _storable(entry.stream)[0],
            _storable(entry.source)[0],
            text,
            raw,
        )


def _storable(text: str | None) -> tuple[str | None, bytes | None]:
    """Return a text that can be stored, and the exact bytes if the text was altered."""
    if text is None or ("\0" not in text and (text.isascii() or _is_encodable(text))):
        return text, None
    raw = text.encode("utf-8", "surrogatepass")
    altered = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return altered.replace("\0", _NUL_SYMBOL), raw


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _JSONLine(msgspec.Struct):
    service_id: int
    service_name: str | None
    deployment_id: int
    seq: int
    created_at: dt.datetime
    kept_at: dt.datetime
    stream: str | None
    source: str | None
    message: str | None
    copy: int
    line_id: str


_encode = msgspec.json.Encoder().encode


def to_json_line(entry: StoredEntry) -> bytes:
    """Format a stored line as one JSON object with a line feed.

    The object has ``service_id``, ``service_name``, ``deployment_id``, ``seq``, ``created_at``,
    ``kept_at``, ``stream``, ``source``, ``message``, ``copy`` and ``line_id``. The message is
    the exact one, because JSON can represent NUL.
    """
    original = entry.original()
    message = (
        original.message
        if entry.raw is None or _is_encodable(original.message or "")
        else entry.message
    )
    document = _JSONLine(
        entry.service_id,
        entry.service_name,
        entry.deployment_id,
        entry.seq,
        entry.created_at,
        entry.kept_at,
        entry.stream,
        entry.source,
        message,
        entry.copy,
        original.line_id,
    )
    return _encode(document) + b"\n"
