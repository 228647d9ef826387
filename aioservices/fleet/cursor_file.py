"""Cursors in a file that survives a crash at any moment.

A new state is written to a temporary file, flushed to the disk, and renamed to the target, so that
the file always has either the old or the new state. The previous state is kept in a second file
(``.previous``), because a disk or a file system may lose data that it has reported as written: if
the file is truncated or damaged, the previous one is read instead. If the file was removed, it is
not: removing it means starting from the beginning.

Flushing to the disk takes milliseconds, so it is done at most once per interval, and the cursor,
which takes time to compute, is only computed then. So a crash repeats at most the lines of one
interval, and never loses a line.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import msgspec

from aioservices.errors import CursorFileError
from aioservices.tail import LogCursor, LogTail
from aioservices.validation import validate_seconds

from .watch import LogWatch

__all__ = ["CursorFile"]

log = logging.getLogger("aioservices.tail")

_MAX_BYTES = 256 * 1024 * 1024  # the cursors of the busiest logs have some hundred thousand each


_Cursors: TypeAlias = LogCursor | Mapping[int, LogCursor]


class CursorFile:
    """A file that stores the position of a tail or a watch.

    Use it in a ``with`` block, which writes the last state at its end. If an exception ends it,
    lines that were delivered after the last `save` are repeated later. Each method raises
    `CursorFileError` if the file cannot be read or written, or contains something else.

    Parameters
    ----------
    path : str or path
        The file. The previous state is in a second file, whose name ends in ``.previous``.
    interval : float, default 1.0
        Seconds between two writes.

    Examples
    --------
    ::

        with CursorFile("web.cursor") as cursor_file:
            async with services.tail_logs(42, resume=cursor_file.load()) as tail:
                async for entry in tail:
                    print(entry.message)
                    cursor_file.save(tail)
    """

    def __init__(self, path: str | os.PathLike[str], *, interval: float = 1.0) -> None:
        self._shown = os.fspath(path)
        self._path = Path(path).resolve()  # a symbolic link is not replaced
        self._previous = self._path.with_name(self._path.name + ".previous")
        self._interval = validate_seconds(interval, "interval", zero=True)
        self._written: str | None = None  # the content of the file, if it is known and not damaged
        self._due = 0.0
        self._unwritten: tuple[LogTail | LogWatch, int] | _Cursors | None = None

    def check(self) -> None:
        """Check that the file exists or can be created in its directory; `load` does that too."""
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):
                raise CursorFileError(f"{self._shown} is not a regular file")
        except FileNotFoundError:
            pass
        except OSError as exc:
            raise self._failed(exc) from exc
        directory = self._path.parent
        if not directory.is_dir():
            raise CursorFileError(f"{self._shown}: the directory does not exist")
        if not os.access(directory, os.W_OK | os.X_OK):
            raise CursorFileError(f"{self._shown}: its directory cannot be written to")

    def load(self) -> LogCursor | None:
        """Read the cursor of a tail; None if there is no file.

        It is the last one that was saved, or the previous one if that is damaged.
        """
        cursors = self._load()
        if isinstance(cursors, dict):
            raise CursorFileError(f"{self._shown} contains the checkpoint of a watch, not a cursor")
        return cursors

    def load_checkpoint(self) -> dict[int, LogCursor]:
        """Read the checkpoint of a watch; empty if there is no file.

        It is the last one that was saved, by service, or the previous one if that is damaged.
        """
        cursors = self._load()
        if isinstance(cursors, LogCursor):
            raise CursorFileError(f"{self._shown} contains the cursor of a tail, not a checkpoint")
        return {} if cursors is None else cursors

    def save(self, source: LogTail | LogWatch | _Cursors) -> None:
        """Record that the entries delivered so far are processed.

        It costs almost nothing if the last write was less than the interval ago.

        Parameters
        ----------
        source : LogTail, LogWatch, LogCursor, or mapping of int to LogCursor
            The source of the position, or the position itself.
        """
        if isinstance(source, LogCursor | Mapping):
            self._unwritten = source
        else:
            self._unwritten = (source, source.delivered)
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Write now what was passed to `save` and has not been written."""
        unwritten = self._unwritten
        if unwritten is None:
            return
        if isinstance(unwritten, tuple):
            source, delivered = unwritten
            if source.delivered != delivered:
                return  # entries were delivered since `save`, which may not be processed
            unwritten = source.cursor if isinstance(source, LogTail) else source.checkpoint
        self._unwritten = None
        self._due = time.monotonic() + self._interval
        text = _encode(unwritten)
        if text == self._written:
            return
        try:
            self._replace(text)
        except OSError as exc:
            raise self._failed(exc) from exc
        self._written = text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.flush()
        except CursorFileError as error:
            if exc is None:
                raise
            log.warning("%s", error)  # the error that ended the block is more important

    def _load(self) -> LogCursor | dict[int, LogCursor] | None:
        self.check()
        try:
            cursors = _decode(_read(self._path))
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise self._failed(exc) from exc
        except ValueError as exc:
            return self._load_previous(exc)
        self._written = _encode(cursors)
        return cursors

    def _load_previous(self, problem: ValueError) -> LogCursor | dict[int, LogCursor]:
        try:
            cursors = _decode(_read(self._previous))
        except (OSError, ValueError):
            raise CursorFileError(
                f"{self._shown} contains no complete cursor: remove it to start from the beginning"
            ) from problem
        log.warning("%s is damaged: continuing from the previous position", self._shown)
        return cursors

    def _replace(self, text: str) -> None:
        """Replace the content of the file; if that fails, it stays as it is."""
        new = self._spare("new")
        try:
            if self._written is not None:
                self._keep_previous()
            _write_durably(new, text.encode() + b"\n", like=self._path)
            new.replace(self._path)
        finally:
            new.unlink(missing_ok=True)
        _sync_directory(self._path.parent)

    def _keep_previous(self) -> None:
        """Link the current content to the second name, so that both names always exist."""
        spare = self._spare("old")
        spare.unlink(missing_ok=True)
        try:
            os.link(self._path, spare)
        except FileNotFoundError:  # it was removed
            return
        except OSError:  # not every file system has links
            _write_durably(spare, _read(self._path), like=self._path)
        spare.replace(self._previous)

    def _spare(self, suffix: str) -> Path:
        return self._path.with_name(f".{self._path.name}.{os.getpid()}.{suffix}")

    def _failed(self, error: OSError) -> CursorFileError:
        return CursorFileError(f"{self._shown}: {error.strerror or error}")


def _encode(cursors: _Cursors) -> str:
    if isinstance(cursors, LogCursor):
        return cursors.to_json()
    return f"[{','.join(cursor.to_json() for cursor in cursors.values())}]"


def _decode(text: bytes) -> LogCursor | dict[int, LogCursor]:
    if not text.lstrip().startswith(b"["):
        return LogCursor.from_json(text)
    cursors = [
        LogCursor.from_json(bytes(each))
        for each in msgspec.json.decode(text, type=list[msgspec.Raw])
    ]
    return {cursor.service_id: cursor for cursor in cursors}


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES)


def _write_durably(path: Path, content: bytes, *, like: Path) -> None:
    """Write a file with the permissions of another one; if there is none, for its owner only."""
    try:
        mode = stat.S_IMODE(like.stat().st_mode)
    except FileNotFoundError:
        mode = 0o600
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    """Force a rename to the disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
