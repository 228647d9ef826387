"""The services to collect, with their names and the sessions that read them.

A service that is no longer listed stays in the catalog as missing until its log has been read to
its end, because its last lines may not have been read yet. A service that ended while no collector
ran is added once in the same way, if the store has lines of it from the day before its last commit.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from aioservices.api.matching import ids_among, is_id, select
from aioservices.errors import ServicesError
from aioservices.stores import Store, StoreUnavailableError

from .options import CollectOptions
from .source import Source

__all__ = ["ServiceCatalog"]

log = logging.getLogger("aioservices.collect")

_RECENT_SECONDS = 86_400.0


class ServiceCatalog:
    """The services that some sessions can see.

    Parameters
    ----------
    store : Store
    sources : sequence of Source
        A service is read with the first of them that lists it.
    options : CollectOptions
    """

    def __init__(self, store: Store, sources: Sequence[Source], options: CollectOptions) -> None:
        self._store = store
        self._sources = sources
        self._options = options
        self._visible: dict[int, Source] = {}
        self._missing: set[int] = set()  # visible services that are no longer listed
        self._names: dict[int, str | None] = {}
        self._reported: set[str] = set()  # terms that were logged as matching nothing

    @property
    def service_ids(self) -> list[int]:
        """All services, including the missing ones."""
        return list(self._visible)

    def is_missing(self, service_id: int) -> bool:
        """Return whether a service is no longer listed."""
        return service_id in self._missing

    def source_of(self, service_id: int) -> Source:
        """Return the source of the session that reads a service."""
        return self._visible.get(service_id, self._sources[0])

    def name_of(self, service_id: int) -> str | None:
        """Return the name of a service."""
        return self._names.get(service_id)

    def forget(self, service_id: int) -> None:
        """Remove a missing service whose log was read to its end."""
        if service_id in self._missing:
            self._missing.remove(service_id)
            del self._visible[service_id]

    async def update(self) -> None:
        """List the services of all sessions."""
        found: dict[int, Source] = {}
        names = {each: self._names.get(each) for each in self._visible}
        is_complete = True
        for source in self._sources:
            problem = source.problem
            try:
                await source.list_services(self._options.status)
            except ServicesError as exc:
                is_complete = False
                if str(exc) != problem:
                    log.warning("the services of a key could not be listed: %s", exc)
            for service_id, name in source.services.items():
                names[service_id] = name
                found.setdefault(service_id, source)
        self._names = names
        wanted = self._select_wanted(found)
        for service_id in wanted - found.keys():
            found[service_id] = self._sources[0]
        found = {each: found[each] for each in wanted}
        if not self._visible and found:
            await self._add_recently_stored(found)
        if is_complete:
            self._report_unmatched()
            self._missing |= self._visible.keys()
        self._missing -= found.keys()
        self._visible |= found

    def _select_wanted(self, found: Collection[int]) -> set[int]:
        """Select the requested services; those given by id need not be listed."""
        options = self._options
        wanted = set(found) if options.ids is None else set(options.ids)
        if not options.patterns:
            return wanted
        names = {each: self._names.get(each) for each in wanted}
        return set(select(options.patterns, names).ids) | set(ids_among(options.patterns))

    def _report_unmatched(self) -> None:
        """Log which terms match no listed service, each once: they may be misspelled."""
        options = self._options
        running = "" if options.status is None else f"{options.status} "
        if options.ids is not None:
            return
        if not options.patterns and not self._names and "" not in self._reported:
            self._reported.add("")
            log.warning("no %sservice is there yet: waiting for one", running)
        for term in select(options.patterns, self._names).unmatched:
            if term not in self._reported and not is_id(term):  # a service given by id is read
                self._reported.add(term)
                log.warning("no %sservice matches %r yet: waiting for one", running, term)

    async def _add_recently_stored(self, found: Collection[int]) -> None:
        """Add services that ended while no collector ran, to read the rest of their logs."""
        if self._options.ids is not None:
            return
        try:
            stored = [each for each in await self._store.services() if each.kept_at is not None]
        except StoreUnavailableError:
            return
        newest = max((each.kept_at for each in stored if each.kept_at), default=None)
        names = {each.service_id: each.service_name for each in stored}
        wanted = set(names)
        if self._options.patterns:
            wanted = set(select(self._options.patterns, names).ids)
        for each in stored:
            recent = (
                newest
                and each.kept_at
                and (newest - each.kept_at).total_seconds() < _RECENT_SECONDS
            )
            if recent and each.service_id in wanted and each.service_id not in found:
                self._visible[each.service_id] = self._sources[0]
                self._names[each.service_id] = each.service_name
                self._missing.add(each.service_id)
