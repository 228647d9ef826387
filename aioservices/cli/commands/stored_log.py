"""The log of a service out of a store, for `logs --from`; it needs neither key nor network."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import anyio
import msgspec

from aioservices.cli.errors import MISUSED, CommandError
from aioservices.cli.filters import Filter, Format
from aioservices.stores import Store, StoredEntry, to_json_line
from aioservices.terminal.output import stdout
from aioservices.terminal.times import Instant

from .stored import opened, stored_services

__all__ = ["StoredLog"]

_POLL_SECONDS = 0.5
_PAGE = 1_000  # lines
_PIECE = 200  # lines that are written at once


class _Place(msgspec.Struct):
    """Where a reader stands in a store: behind this line of this service."""

    store: str
    service_id: int
    seq: int


@dataclass(kw_only=True)
class StoredLog:
    """What is shown of a stored log, and how: the options of `logs`."""

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
        """Show it; gives the exit status."""
        now = dt.datetime.now(dt.UTC)
        begin, end = self.since and self.since.at(now), self.until and self.until.at(now)
        if begin and end and end < begin:
            raise CommandError("--until is before --since", status=MISUSED)
        async with opened(self.store_url) as store:
            found = await stored_services(store, [self.service])
            if len(found) > 1:
                raise CommandError(
                    f"{len(found)} services have a name that matches {self.service!r}: "
                    "name one of them",
                    status=MISUSED,
                )
            ((service_id, name),) = found.items()
            if self.previous:
                self.deployment_id = await _previous(store, service_id)
            seq = self._load_place(service_id)
            if seq is None:
                seq = await self._seq(store, service_id)
                await self._write(name, self._read(store, service_id, begin, end))
                self._save_place(service_id, seq)
                if not self.follow:
                    return 0
                begin = None  # what was there by now has been shown, or left out
            await self._go_on(store, service_id, name, seq, begin, end)
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

    async def _go_on(
        self,
        store: Store,
        service_id: int,
        name: str | None,
        seq: int,
        begin: dt.datetime | None,
        end: dt.datetime | None,
    ) -> None:
        """Show what was kept after a line, in the order of keeping."""
        while True:
            page = await store.read_after(service_id, seq, _PAGE)
            if page:
                wanted = [entry for entry in page if self._passes(entry, begin, end)]
                await stdout().write("".join(self._text(entry, name) for entry in wanted))
                await stdout().flush()
                seq = page[-1].seq
                self._save_place(service_id, seq)
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
                if len(piece) == _PIECE:
                    await stdout().write("".join(piece))
                    piece.clear()
            await stdout().write("".join(piece))
            await stdout().flush()

    def _text(self, entry: StoredEntry, name: str | None) -> str:
        if self.shown.as_json:
            return to_json_line(entry).decode()
        return self.shown(entry, name)

    def _load_place(self, service_id: int) -> int | None:
        if self.cursor_path is None:
            return None
        try:
            place = msgspec.json.decode(Path(self.cursor_path).read_bytes(), type=_Place)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise CommandError(f"{self.cursor_path}: {exc.strerror}") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise CommandError(
                f"{self.cursor_path} holds no place in a store: give another --cursor",
                status=MISUSED,
            ) from None
        if (place.store, place.service_id) != (self.store_url, service_id):
            raise CommandError(
                f"{self.cursor_path} is the place in the log of service {place.service_id} in "
                f"{place.store}: give another --cursor for this log",
                status=MISUSED,
            )
        return place.seq

    def _save_place(self, service_id: int, seq: int) -> None:
        """Keep the place, so that the file holds it whole whatever happens."""
        if self.cursor_path is None:
            return
        path = Path(self.cursor_path)
        new = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            with new.open("wb") as file:
                file.write(msgspec.json.encode(_Place(self.store_url, service_id, seq)))
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
