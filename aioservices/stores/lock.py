"""One owner for a file: a lock that the operating system releases when its owner dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aioservices.stores.errors import StoreLockedError

__all__ = ["OwnerLock"]

if sys.platform == "win32":
    import msvcrt

    # Far after the text, which others must be able to read while this byte is locked.
    _LOCKED_BYTE = 1 << 30

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class OwnerLock:
    """The right of one process to write a file.

    It locks a second file next to it, which contains the owner's process id. The lock file is not
    removed when the lock is released: another process may just have locked it.

    Parameters
    ----------
    path : Path
        The file that is owned.
    purpose : str
        What only the owner may do, for messages.
    is_hidden : bool, default False
        Whether the name of the lock file begins with a dot, so that patterns such as `*` skip it.
    """

    def __init__(self, path: Path, purpose: str, *, is_hidden: bool = False) -> None:
        self._path = path
        self._purpose = purpose
        self._lock_path = path.with_name(f"{'.' if is_hidden else ''}{path.name}.lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Acquire the lock.

        Raises
        ------
        StoreLockedError
            If a running process, including this one, has it.
        """
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                _lock(descriptor)
            except OSError:
                raise self._locked_error(descriptor) from None
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.release()

    def _locked_error(self, descriptor: int) -> StoreLockedError:
        os.lseek(descriptor, 0, os.SEEK_SET)
        text = os.read(descriptor, 32).strip()
        pid = int(text) if text.isdigit() else None
        holder = "another process" if pid is None else f"process {pid}"
        return StoreLockedError(
            f"{self._path} is in use by {holder}: only one at a time can {self._purpose}. "
            "Stop that process, or use another file",
            pid,
        )
