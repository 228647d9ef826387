"""The log of a service from a store, for `logs --from`; it needs neither a key nor a network."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import anyio
import msgspec

from aioservices.cli.errors import USAGE_ERROR, CommandError
from aioservices.cli.filters import Filter, Format
from aioservices.stores import Store, StoredEntry, to_json_line
from aioservices.terminal.output import stdout
from aioservices.terminal.times import Instant

from .stored import opened, stored_services

__all__ = ["StoredLog"]

_POLL_SECONDS = 0.5
_PAGE = 1_000  # lines
_LINES_AT_ONCE = 200  # lines that are written at once


class _StorePosition(msgspec.Struct):
    """A position in a store: behind this line of this service."""

    store: str
    service_id: int
    seq: int


@dataclass(kw_only=True)
class StoredLog:
    """A stored log with the options of `logs`: which lines are shown, and how."""

    store_url: str
    service: str
    follow: bool
    last: int | None
    since: Instant | None
    until: Instant | None
    deployment_id: int | None
    previous: bool
    cursor_path: str | None
    chosen: Filter
    shown: Format

    async def show(self) -> int:
        """Show it, and return the exit status."""
        now = dt.datetime.now(dt.UTC)
        begin, end = self.since and self.since.at(now), self.until and self.until.at(now)
        if begin and end and end < begin:
            raise CommandError("--until is before --since", status=USAGE_ERROR)
        async with opened(self.store_url) as store:
            found = await stored_services(store, [self.service])
            if len(found) > 1:
                raise CommandError(
                    f"{len(found)} services have a name that matches {self.service!r}: "
                    "name one of them",
                    status=USAGE_ERROR,
                )
            ((service_id, name),) = found.items()
            if self.previous:
                self.deployment_id = await _previous(store, service_id)
            seq = self._load_position(service_id)
            if seq is None:
                seq = await self._seq(store, service_id)
                await self._write(name, self._read(store, service_id, begin, end))
                self._save_position(service_id, seq)
                if not self.follow:
                    return 0
                begin = None  # earlier lines have been shown or left out
            await self._follow(store, service_id, name, seq, begin, end)
        return 0

    async def _seq(self, store: Store, service_id: int) -> int:
        return next(each.seq for each in await store.services() if each.service_id == service_id)

    async def _read(
        self, store: Store, service_id: int, begin: dt.datetime | None, end: dt.datetime | None
    ) -> AsyncGenerator[StoredEntry]:
        if self.last == 0:
            return
        entries = store.read(
            service_id,
            start_at=begin,
            end_at=end,
            deployment_id=self.deployment_id,
            where=self.chosen.passes,
            last=self.last,
        )
        async for entry in entries:
            yield entry

    async def _follow(
        self,
        store: Store,
        service_id: int,
        name: str | None,
        seq: int,
        begin: dt.datetime | None,
        end: dt.datetime | None,
    ) -> None:
        """Show the lines that are stored after a line, in that order."""
        while True:
            page = await store.read_after(service_id, seq, _PAGE)
            if page:
                wanted = [entry for entry in page if self._passes(entry, begin, end)]
                await stdout().write("".join(self._text(entry, name) for entry in wanted))
                await stdout().flush()
                seq = page[-1].seq
                self._save_position(service_id, seq)
            elif not self.follow:
                return
            else:
                await anyio.sleep(_POLL_SECONDS)

    def _passes(
        self, entry: StoredEntry, begin: dt.datetime | None, end: dt.datetime | None
    ) -> bool:
        return (
            (begin is None or entry.created_at >= begin)
            and (end is None or entry.created_at <= end)
            and self.deployment_id in (None, entry.deployment_id)
            and self.chosen.passes(entry)
        )

    async def _write(self, name: str | None, entries: AsyncGenerator[StoredEntry]) -> None:
        async with contextlib.aclosing(entries):
            piece: list[str] = []
            async for entry in entries:
                piece.append(self._text(entry, name))
                if len(piece) == _LINES_AT_ONCE:
                    await stdout().write("".join(piece))
                    piece.clear()
            await stdout().write("".join(piece))
            await stdout().flush()

    def _text(self, entry: StoredEntry, name: str | None) -> str:
        if self.shown.as_json:
            return to_json_line(entry).decode()
        return self.shown(entry, name)

    def _load_position(self, service_id: int) -> int | None:
        if self.cursor_path is None:
            return None
        try:
            position = msgspec.json.decode(Path(self.cursor_path).read_bytes(), type=_StorePosition)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise CommandError(f"{self.cursor_path}: {exc.strerror}") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise CommandError(
                f"{self.cursor_path} contains no position in a store: pass another --cursor",
                status=USAGE_ERROR,
            ) from None
        if (position.store, position.service_id) != (self.store_url, service_id):
            raise CommandError(
                f"{self.cursor_path} is a position in the log of service {position.service_id} in "
                f"{position.store}: pass another --cursor for this log",
                status=USAGE_ERROR,
            )
        return position.seq

    def _save_position(self, service_id: int, seq: int) -> None:
        """Save the position; the file is never left half-written."""
        if self.cursor_path is None:
            return
        path = Path(self.cursor_path)
        new = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            with new.open("wb") as file:
                file.write(msgspec.json.encode(_StorePosition(self.store_url, service_id, seq)))
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError as exc:
            raise CommandError(f"{self.cursor_path}: {exc.strerror}") from None
        finally:
            new.unlink(missing_ok=True)


async def _previous(store: Store, service_id: int) -> int:
    """Find the deployment before the last one that has lines in a store."""
    found = {entry.deployment_id async for entry in store.read(service_id)}
    if len(found) < 2:
        raise CommandError("the store has lines of one deployment only: there is no previous one")
    return sorted(found)[-2]
