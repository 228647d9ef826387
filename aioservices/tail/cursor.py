"""Where a tail stands: to be kept, and to go on from in another process."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import NamedTuple

import msgspec

from aioservices.api.models import Timestamp

from .window import Window

__all__ = ["NO_DEPLOYMENT", "Latest", "LogCursor", "Position", "position"]

_VERSION = 1


class Position(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a tail stands in one deployment's log.

    Attributes
    ----------
    deployment_id : int
    floor : datetime or None
        Below it every line was delivered; None: none was asked to be left out.
    lines : str
        What was delivered above the floor, as counts of hashes.
    """

    deployment_id: int
    floor: Timestamp | None = None
    lines: str = ""

    def window(self) -> Window:
        """Make the window that stands here."""
        window = Window(self.floor)
        window.unpack(self.lines)
        return window


class Latest(NamedTuple):
    """The newest deployment that a tail knows of.

    Attributes
    ----------
    deployment_id : int
        0 if there was none.
    created_at : datetime or None
    """

    deployment_id: int
    created_at: dt.datetime | None

    def or_newer(self, other: Latest | None) -> Latest:
        """Give this one, or another one that is surely newer."""
        if other is None or other.created_at is None or self.created_at is None:
            return self
        return other if other.created_at > self.created_at else self


NO_DEPLOYMENT = Latest(0, None)


class LogCursor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a tail stands: behind the last line that it gave.

    Keep `to_json` somewhere safe; a tail that gets the cursor as ``resume``
    goes on from there, with nothing lost and nothing repeated.

    Attributes
    ----------
    service_id : int
    deployment_id : int or None
        The deployment that the tail was bound to; None if it follows the service.
    positions : tuple of Position
        The logs that are being read.
    latest_id : int or None
        The newest deployment that was taken up.
    latest_at : datetime or None
        When that one was created.
    start_at : datetime or None
        Before which lines are left out.
    """

    service_id: int
    deployment_id: int | None = None
    positions: tuple[Position, ...] = ()
    latest_id: int | None = None
    latest_at: Timestamp | None = None
    start_at: Timestamp | None = None

    @property
    def whose(self) -> str:
        """What it is the cursor of, in words."""
        service = f"service {self.service_id}"
        if self.deployment_id is None:
            return service
        return f"deployment {self.deployment_id} of {service}"

    @property
    def latest(self) -> Latest | None:
        """The newest deployment that was taken up."""
        return None if self.latest_id is None else Latest(self.latest_id, self.latest_at)

    def windows(self) -> dict[int, Window]:
        """Make the windows that stand here, by deployment."""
        return {place.deployment_id: place.window() for place in self.positions}

    def to_json(self) -> str:
        """Write it as one line of JSON."""
        document = _Document(version=_VERSION, cursor=self, check=_check(self))
        return msgspec.json.encode(document).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> LogCursor:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text : str or bytes

        Returns
        -------
        LogCursor

        Raises
        ------
        TypeError
            If it is no text.
        ValueError
            If it is cut, changed, something else, or of a version that is not known.
        """
        if not isinstance(text, str | bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a cursor is read from a string, not {type(text).__name__}")
        try:
            version = _version_decoder.decode(text).version
            document = _document_decoder.decode(text) if version == _VERSION else None
            for place in document.cursor.positions if document else ():
                place.window()
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            raise ValueError(f"this is no cursor of a log: {exc}") from exc
        if document is None:
            raise ValueError(f"this cursor is of version {version}, which this release cannot read")
        if document.check != _check(document.cursor):
            raise ValueError("this is no cursor of a log: it was changed after it was written")
        return document.cursor


class _Version(msgspec.Struct):
    version: int


class _Document(_Version):
    check: str
    cursor: LogCursor


_version_decoder = msgspec.json.Decoder(_Version)
_document_decoder = msgspec.json.Decoder(_Document)


def position(deployment_id: int, window: Window) -> Position:
    """Note where a window stands."""
    return Position(deployment_id=deployment_id, floor=window.floor, lines=window.pack())


def _check(cursor: LogCursor) -> str:
    """Sum a cursor up; spaces and the order of keys in its JSON may change on the way."""
    return hashlib.blake2b(msgspec.json.encode(cursor), digest_size=8).hexdigest()
