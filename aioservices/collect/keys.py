"""The daemon's API keys: a session for each, replaced when its file changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from aioservices.client import Services
from aioservices.http.options import AttemptHook

from .config import CollectConfig
from .secret_files import read_api_key

__all__ = ["KeyRing"]

# Bytes of a response. A larger page is requested again with fewer lines.
_LARGEST_BODY = 32 << 20

log = logging.getLogger("aioservices.collect")


class KeyRing:
    """A session for each key of a configuration.

    Parameters
    ----------
    config : CollectConfig
    on_attempt : callable
        Called for every attempt of every request of all sessions.
    """

    def __init__(self, config: CollectConfig, on_attempt: AttemptHook) -> None:
        self._config = config
        self._on_attempt = on_attempt
        self._files: Sequence[Path | None] = config.api_key_file or (None,)
        self._keys = [None if path is None else read_api_key(path) for path in self._files]
        self._sessions = [self._open(key) for key in self._keys]
        self._problems: dict[Path, str] = {}

    @property
    def sessions(self) -> list[Services]:
        """A session for each key, in the order of the configuration."""
        return list(self._sessions)

    async def reload(self, replace: Callable[[Services, Services], None]) -> int:
        """Read the files again, and replace the sessions whose key has changed.

        If a file cannot be read or contains no key, for example while it is being replaced, its
        session stays as it is; the problem is reported once.

        Parameters
        ----------
        replace : callable
            Called with the session of the old key and that of the new one. The old one is closed
            afterwards.

        Returns
        -------
        int
            How many keys have changed.
        """
        renewed = 0
        for number, path in enumerate(self._files):
            if path is None:
                continue
            try:
                key = read_api_key(path)
            except ValueError as error:
                if self._problems.get(path) != str(error):
                    log.warning("the key stays as it was: %s", error)
                self._problems[path] = str(error)
                continue
            self._problems.pop(path, None)
            if key == self._keys[number]:
                continue
            old, new = self._sessions[number], self._open(key)
            self._keys[number], self._sessions[number] = key, new
            replace(old, new)
            await old.aclose()
            renewed += 1
            log.info("the API key in %s has changed and is used from now on", path)
        return renewed

    async def aclose(self) -> None:
        """Close all sessions."""
        for session in self._sessions:
            await session.aclose()

    def _open(self, key: str | None) -> Services:
        session = Services(key, base_url=self._config.endpoint, user_agent="aioservices-collect")
        return session.with_options(on_attempt=self._on_attempt, max_body_size=_LARGEST_BODY)
