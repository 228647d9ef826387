"""Forwards stored lines to a rotated file of JSON objects, each line exactly once.

Theory of operation
-------------------
The forwarder's note in the store records which generation of the file is being written, and how
many of its bytes are committed. Before the first write, the file is truncated to that size: lines
that were written but not recorded are removed, and written again. A file that has become too large
is renamed to ``PATH.N``, where N is its generation, before the first line of the next generation is
written. So if ``PATH.N`` exists for the recorded generation N, the crash came after the rename, and
nothing in ``PATH`` is recorded yet.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from aioservices.stores.errors import ForwardError, StoreConfigError, StoreLockedError
from aioservices.stores.files import refuse_store_file
from aioservices.stores.lock import OwnerLock
from aioservices.stores.record import StoredEntry, to_json_line
from aioservices.validation import validate_int, validate_optional_int

__all__ = ["JSONLForwarder"]


class _Note(msgspec.Struct):
    generation: int = 1
    size: int = 0


class JSONLForwarder:
    """Writes lines into a file of JSON objects.

    Parameters
    ----------
    path : str or Path
    rotate : int, default 104857600
        Bytes at which the file is renamed, and a new one started.
    keep : int or None, optional
        How many renamed files are kept. Default: all.
    """

    lines_at_once = 5000

    def __init__(
        self, path: str | os.PathLike[str], *, rotate: int = 100 << 20, keep: int | None = None
    ) -> None:
        self._path = Path(path).absolute()
        self._rotate = validate_int(rotate, "rotate", least=1)
        self._keep = validate_optional_int(keep, "keep")
        self._state = _Note()
        self._lock = OwnerLock(self._path, "write it", is_hidden=True)
        self._is_acquired = False
        self.name = f"jsonl:{self._path}"

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self._path

    async def resume(self, note: str | None) -> None:
        """Truncate the file to what the store has recorded."""
        state = _Note() if note is None else msgspec.json.decode(note, type=_Note)
        if not self._is_acquired:
            await asyncio.to_thread(self._acquire)
            self._is_acquired = True
        self._state = await asyncio.to_thread(self._restore, state, is_new=note is None)

    def note(self) -> str:
        """Return which generation is written, and its size after the last lines."""
        return msgspec.json.encode(self._state).decode()

    async def send(self, lines: Sequence[StoredEntry]) -> None:
        """Append lines, and flush them to the disk."""
        self._state = await asyncio.to_thread(self._append, lines, self._state)

    async def aclose(self) -> None:
        """Release the file."""
        self._is_acquired = False
        self._lock.release()

    def _acquire(self) -> None:
        """Lock the file, and check that it is a file of this kind."""
        if not self._path.parent.is_dir():
            raise ForwardError(f"there is no directory {self._path.parent}", needs_attention=True)
        try:
            refuse_store_file(self._path)
            self._lock.acquire()
        except (StoreConfigError, StoreLockedError) as exc:
            raise ForwardError(str(exc), needs_attention=True) from exc

    def _restore(self, state: _Note, *, is_new: bool) -> _Note:
        if self._rotated(state.generation).exists():
            if is_new:
                # Files of an earlier use stay, and the numbering continues after them.
                return _Note(max(self._generations()) + 1, self._size())
            self._truncate(0)
            return _Note(state.generation + 1, 0)
        if is_new:
            return _Note(state.generation, self._size())
        size = self._size()
        if size > state.size:
            self._truncate(state.size)
        # A shorter file has replaced ours, for example by logrotate: its content stays.
        return _Note(state.generation, min(size, state.size))

    def _append(self, lines: Sequence[StoredEntry], state: _Note) -> _Note:
        if state.size >= self._rotate:
            self._path.rename(self._rotated(state.generation))
            self._sync_directory()
            state = _Note(state.generation + 1, 0)
            self._remove_old()
        data = b"".join(map(to_json_line, lines))
        is_new = not self._path.exists()
        with self._path.open("ab") as file:
            # A failed attempt may have written some bytes.
            file.truncate(min(state.size, os.fstat(file.fileno()).st_size))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        if is_new:
            self._sync_directory()
        return _Note(state.generation, size)

    def _truncate(self, size: int) -> None:
        if self._path.exists():
            os.truncate(self._path, size)

    def _size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def _rotated(self, generation: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{generation}")

    def _generations(self) -> list[int]:
        prefix = f"{self._path.name}."
        found = (each.name.removeprefix(prefix) for each in self._path.parent.glob(f"{prefix}*"))
        return sorted(int(number) for number in found if number.isascii() and number.isdecimal())

    def _remove_old(self) -> None:
        if self._keep is not None:
            for generation in self._generations()[: -self._keep or None]:
                self._rotated(generation).unlink(missing_ok=True)

    def _sync_directory(self) -> None:
        if os.name == "posix":
            descriptor = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
