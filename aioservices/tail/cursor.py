"""Where a tail stands: to be kept, and to go on from in another process.

A `Batch` is made by the reader of a log and travels unchanged to the consumer. The reader records
its lines as delivered when it makes it; the consumer's cursor stands behind the last line that the
consumer was given. So a cursor is what the reader has recorded, less the batches that were not
given yet: the `CursorTracker` keeps no lines, only positions in those records.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from bisect import bisect_left

import msgspec

from aioservices.api.models import TailedEntry, Timestamp

from .dedup import DeliveredLines
from .deployments import DeploymentSnapshot
from .status import LogGap

__all__ = ["Batch", "CursorTracker", "LogCursor", "Position"]

_VERSION = 1


class Batch(msgspec.Struct, kw_only=True, gc=False, eq=False):
    """New lines of one log, from the reader to the consumer.

    Attributes
    ----------
    entries : list of TailedEntry
        By time.
    gaps : tuple of LogGap
        New gaps: where lines are missing that cannot be read.
    watermark : datetime or None
        Once the batch was given, no line from before this time can come.
    created_at : datetime or None
        When the deployment was created; only in the first batch of a log.
    is_final : bool
        Whether the log was read to its end.
    delivered : DeliveredLines
        The reader's record of the lines that it has delivered, which goes on growing.
    recorded : int
        The length of that record right after this batch.
    counted : int
        How many of the entries are in that record: always the last ones.
    given : int
        How many of the entries the consumer was given.
    """

    deployment_id: int
    entries: list[TailedEntry]
    gaps: tuple[LogGap, ...] = ()
    watermark: dt.datetime | None = None
    created_at: dt.datetime | None = None
    is_final: bool = False
    delivered: DeliveredLines
    recorded: int
    counted: int = 0
    given: int = 0

    @property
    def rest(self) -> list[TailedEntry]:
        """The lines that were not given."""
        return self.entries[self.given :]

    @property
    def is_given(self) -> bool:
        """Whether no line is left."""
        return self.given == len(self.entries)

    def next(self) -> TailedEntry:
        """Give the first line that was not given."""
        entry = self.entries[self.given]
        self.given += 1
        return entry

    def give_rest(self) -> list[TailedEntry]:
        """Give all lines that were not given, in a list that is the caller's own."""
        rest = self.rest if self.given else self.entries
        self.entries, self.given = [], 0
        return rest


class Position(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a tail stands in one deployment's log.

    Attributes
    ----------
    watermark : datetime or None
        Every line from before this time was delivered. None: the log is read from its beginning.
    lines : str
        What was delivered above the watermark, as counts of digests.
    """

    deployment_id: int
    watermark: Timestamp | None = msgspec.field(default=None, name="floor")
    lines: str = ""

    def delivered(self) -> DeliveredLines:
        """Make the memory of delivered lines that stands here."""
        return DeliveredLines.unpack(self.watermark, self.lines)


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
        The newest deployment whose log was begun.
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
        """What it is the cursor of, in words.

        Not part of the public interface.
        """
        deployment = "" if self.deployment_id is None else f"deployment {self.deployment_id} of "
        return f"{deployment}service {self.service_id}"

    @property
    def latest(self) -> DeploymentSnapshot | None:
        """The newest deployment whose log was begun.

        Not part of the public interface.
        """
        if self.latest_id is None:
            return None
        return DeploymentSnapshot(self.latest_id, self.latest_at)

    def to_json(self) -> str:
        """Write it as one line of JSON."""
        document = _Document(version=_VERSION, cursor=self, check=_check(self))
        return msgspec.json.encode(document).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> LogCursor:
        """Read what `to_json` wrote.

        Raises
        ------
        TypeError
            If it is not a string.
        ValueError
            If it is cut, changed, something else, or of a version that is not known.
        """
        if not isinstance(text, str | bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a cursor is read from a string, not {type(text).__name__}")
        try:
            version = msgspec.json.decode(text, type=_Version).version
            is_known = version == _VERSION
            document = msgspec.json.decode(text, type=_Document) if is_known else None
            for place in document.cursor.positions if document else ():
                place.delivered()
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            raise ValueError(f"this is not a cursor of a log: {exc}") from exc
        if document is None:
            raise ValueError(f"this cursor is of version {version}, which this release cannot read")
        if document.check != _check(document.cursor):
            raise ValueError("this is not a cursor of a log: it was changed after it was written")
        return document.cursor


class _Version(msgspec.Struct):
    version: int


class _Document(_Version):
    check: str
    cursor: LogCursor


def _check(cursor: LogCursor) -> str:
    """Sum a cursor up; spaces and the order of keys in its JSON may change on the way."""
    return hashlib.blake2b(msgspec.json.encode(cursor), digest_size=8).hexdigest()


class _LogPosition:
    """Where the consumer stands in one log."""

    __slots__ = ("batches", "delivered", "is_over", "recorded", "watermark")

    def __init__(self, delivered: DeliveredLines, watermark: dt.datetime | None) -> None:
        self.delivered = delivered
        self.watermark = watermark
        self.recorded = 0
        self.is_over = False
        self.batches: list[Batch] = []  # that are not given whole, in their order: a few

    def settle(self) -> None:
        """Move on behind the batches that were given whole."""
        while self.batches and self.batches[0].is_given:
            batch = self.batches.pop(0)
            self.watermark, self.recorded = batch.watermark, batch.recorded
            self.is_over = batch.is_final
            self.delivered.hand_in(batch.watermark)

    def pack(self) -> tuple[dt.datetime | None, str]:
        """Return the watermark and the lines of a cursor that stands here."""
        self.settle()
        delivered = self.delivered
        if delivered.is_handed_in:
            return delivered.watermark, delivered.pack()
        watermark, recorded = self.watermark, self.recorded
        if watermark is None or (delivered.kept_from and delivered.kept_from > watermark):
            watermark = delivered.kept_from
        more: list[TailedEntry] = []
        for place, batch in enumerate(self.batches):
            given = batch.entries[: batch.given]
            if place == 0 and given:
                # Up to the last line that was given nothing is missing; from it on it may be.
                left = len(batch.rest)
                if left < batch.counted:
                    watermark, recorded = batch.watermark, batch.recorded - left
                    continue
                last = given[-1].created_at
                watermark = last if watermark is None else max(watermark, last)
                given = given[bisect_left(given, watermark, key=lambda it: it.created_at) :]
            more += given
        return watermark, delivered.pack(recorded, more)


class CursorTracker:
    """Keeps track of what the consumer of a tail was given of each log."""

    __slots__ = ("_deployment_id", "_logs", "_resumed", "_service_id", "latest")

    def __init__(
        self, service_id: int, deployment_id: int | None, resume: LogCursor | None = None
    ) -> None:
        self.latest = None if resume is None else resume.latest  # deployment whose log was begun
        self._service_id = service_id
        self._deployment_id = deployment_id  # None if the tail follows the service
        # Of logs of which nothing has come yet, as the last process has left them:
        self._resumed = {} if resume is None else {it.deployment_id: it for it in resume.positions}
        self._logs: dict[int, _LogPosition] = {}

    def take(self, batch: Batch) -> None:
        """Take in a batch, in the order in which the readers handed it on."""
        log = self._logs.get(batch.deployment_id) or self._begin(batch)
        log.batches.append(batch)
        log.settle()

    def cursor(
        self, before: DeploymentSnapshot | None, start_at: dt.datetime | None = None
    ) -> LogCursor:
        """Say where the consumer stands; `before` had come and gone when the tail began."""
        latest = self.latest or before
        positions = dict(self._resumed)
        for each, log in self._logs.items():
            watermark, lines = log.pack()
            positions[each] = Position(deployment_id=each, watermark=watermark, lines=lines)
        return LogCursor(
            service_id=self._service_id,
            deployment_id=self._deployment_id,
            positions=tuple(positions.values()),
            latest_id=latest and latest.deployment_id,
            latest_at=latest and latest.created_at,
            start_at=start_at,
        )

    def _begin(self, batch: Batch) -> _LogPosition:
        """Begin to keep track of a log, and end it for those that are over."""
        for log in self._logs.values():
            log.settle()
        self._logs = {each: log for each, log in self._logs.items() if not log.is_over}
        is_resumed = self._resumed.pop(batch.deployment_id, None) is not None
        if not is_resumed and self._deployment_id is None:
            new = DeploymentSnapshot(batch.deployment_id, batch.created_at)
            self.latest = new.or_newer(self.latest)
        log = self._logs[batch.deployment_id] = _LogPosition(batch.delivered, batch.watermark)
        return log
