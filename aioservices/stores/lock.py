"""One owner for a file: a lock that the operating system gives back when its holder dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aioservices.stores.errors import StoreLockedError

__all__ = ["OwnerLock"]

if sys.platform == "win32":
    import msvcrt

    # Far behind the text, which others must be able to read while the byte is locked.
    _LOCKED_BYTE = 1 << 30

    def _take(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class OwnerLock:
    """The right of one process to write a file.

    It is a lock on a file beside it, which holds the owner's process id. The lock file stays
    when the lock is given back: whoever removed it could remove one that another has just taken.

    Parameters
    ----------
    path : Path
        The file that is owned.
    purpose : str
        What only the owner may do, for messages.
    is_hidden : bool, default False
        Whether the lock file's name begins with a dot, for those who take all files beside it.
    """

    def __init__(self, path: Path, purpose: str, *, is_hidden: bool = False) -> None:
        self._path = path
        self._purpose = purpose
        self._lock_path = path.with_name(f"{'.' if is_hidden else ''}{path.name}.lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        StoreLockedError
            If a living process, this one included, has it.
        """
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                _take(descriptor)
            except OSError:
                raise self._refusal(descriptor) from None
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.release()

    def _refusal(self, descriptor: int) -> StoreLockedError:
        os.lseek(descriptor, 0, os.SEEK_SET)
        text = os.read(descriptor, 32).strip()
        pid = int(text) if text.isdigit() else None
        holder = "another process" if pid is None else f"process {pid}"
        return StoreLockedError(
            f"{self._path} is in use by {holder}: only one at a time can {self._purpose}. "
            "Stop that one, or give this one another file",
            pid,
        )
