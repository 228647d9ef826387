"""A session of a collector, and the services that it can see."""

from __future__ import annotations

import logging

import anyio

from aioservices.api.states import StatusFilter
from aioservices.errors import SESSION_WIDE, ServicesError

from .options import CollectSession

__all__ = ["Source"]

log = logging.getLogger("aioservices.collect")


class Source:
    """A session, and the services that it can see."""

    def __init__(self, session: CollectSession) -> None:
        self.services: dict[int, str | None] = {}
        self.is_valid = True
        self.has_listed = False
        self.error: str | None = None  # why the API rejects the key
        self.problem: str | None = None  # why the last listing failed
        self.daemons = 1
        self.original = session
        self.session = session.with_options(background=True)
        self._valid = anyio.Event()

    def replace(self, session: CollectSession) -> None:
        """Use another session."""
        self.original = session
        self.session = session.with_options(background=True)
        self.session.share_rate_limit(self.daemons)
        self.accept()

    def share_with(self, daemons: int) -> None:
        """Share the rate limit with the other collectors that use the key."""
        if daemons != self.daemons:
            self.session.share_rate_limit(daemons)
        self.daemons = daemons

    async def list_services(self, status: StatusFilter | None) -> None:
        """List the services, which also shows whether the key is valid."""
        session = self.session
        try:
            services = {each.id: each.name async for each in session.list(status=status)}
        except ServicesError as exc:
            self.problem = str(exc)
            if isinstance(exc, SESSION_WIDE) and session is self.session:
                self.reject(exc)
            raise
        self.services = services
        self.has_listed = True
        self.problem = None
        self.accept()

    def reject(self, error: ServicesError) -> None:
        """Record that the API rejects the key."""
        if self.is_valid:
            log.error("the API refuses a key; the logs read with it wait: %s", error)
        self.is_valid = False
        self.error = str(error)

    def accept(self) -> None:
        """Record that the key is valid."""
        self.is_valid = True
        self.error = None
        self._valid.set()
        self._valid = anyio.Event()

    async def wait_until_valid(self) -> None:
        """Wait until the key is valid."""
        while not self.is_valid:
            await self._valid.wait()
