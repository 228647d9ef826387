"""The file in which `logs` keeps where it stands."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from pathlib import Path

from aioservices.tail import LogCursor

from .errors import MISUSED, CommandError

__all__ = ["CursorFile"]

_EVERY = 1.0  # seconds
_LONGEST = 64 * 1024 * 1024  # bytes; cursors of the densest logs have some hundred thousand


class CursorFile:
    """A cursor in a file, which is either the old one or the new one, whatever happens.

    Parameters
    ----------
    path : str
    """

    def __init__(self, path: str) -> None:
        self._shown = path
        self._path = Path(path).resolve()  # a symbolic link stays one
        self._kept: str | None = None
        self._due = 0.0

    def check(self) -> None:
        """Refuse a path at which no cursor can be kept, before anything is shown.

        Raises
        ------
        CommandError
            If there is something else than a file, or no directory to put one into.
        """
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):
                raise CommandError(f"{self._shown} is no regular file", status=MISUSED)
        except FileNotFoundError:
            pass
        except OSError as exc:
            raise CommandError(f"{self._shown}: {exc.strerror}", status=MISUSED) from None
        directory = self._path.parent
        if not directory.is_dir():
            raise CommandError(f"{self._shown}: there is no such directory", status=MISUSED)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise CommandError(f"{self._shown}: its directory cannot be written to", status=MISUSED)

    def load(self, service_id: int, deployment_id: int | None) -> LogCursor | None:
        """Read the cursor; None if there is no file yet.

        Raises
        ------
        CommandError
            If it is something else, or the cursor of another log.
        """
        try:
            with self._path.open("rb") as file:
                text = file.read(_LONGEST)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise CommandError(f"{self._shown}: {exc.strerror}", status=MISUSED) from None
        try:
            cursor = LogCursor.from_json(text)
        except ValueError:
            raise CommandError(
                f"{self._shown} holds no cursor, or a part of one: remove it to start anew",
                status=MISUSED,
            ) from None
        if (cursor.service_id, cursor.deployment_id) != (service_id, deployment_id):
            raise CommandError(
                f"{self._shown} is the cursor of {cursor.whose}: say another --cursor for this log",
                status=MISUSED,
            )
        self._kept = cursor.to_json()
        return cursor

    def is_due(self) -> bool:
        """Whether it is time to keep the cursor again."""
        return time.monotonic() >= self._due

    def keep(self, cursor: LogCursor) -> None:
        """Write the cursor, if it has changed.

        Raises
        ------
        CommandError
            If it cannot be written.
        """
        self._due = time.monotonic() + _EVERY
        text = cursor.to_json()
        if text == self._kept:
            return
        try:
            descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=".cursor-")
            try:
                with os.fdopen(descriptor, "w") as file:
                    file.write(text + "\n")
                    file.flush()
                    os.fsync(descriptor)
                Path(name).replace(self._path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as exc:
            raise CommandError(f"{self._shown}: {exc.strerror}") from None
        self._kept = text
