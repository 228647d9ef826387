"""The daemon's API keys: a session for each, renewed when its file changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from aioservices.client import Services
from aioservices.http.options import AttemptHook

from .config import CollectConfig
from .secret_files import read_api_key

__all__ = ["KeyRing"]

# Bytes of an answer. A page that is larger is asked for with fewer lines.
_LARGEST_BODY = 32 << 20

log = logging.getLogger("aioservices.collect")


class KeyRing:
    """Sessions of the keys that a configuration names.

    Parameters
    ----------
    config : CollectConfig
    on_attempt : callable
        Called for every attempt of every request of any of them.
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
        """Read the files again, and renew the sessions whose key has changed.

        A file that cannot be read, or holds no key, as while it is being replaced, leaves its
        session as it is; it is reported once.

        Parameters
        ----------
        replace : callable
            Is given the session of the old key and that of the new one; the old one is closed
            afterwards.

        Returns
        -------
        int
            How many keys were new.
        """
        renewed = 0
        for number, path in enumerate(self._files):
            if path is None:
                continue
            try:
                key = read_api_key(path)
            except ValueError as error:
                if self._problems.get(path) != str(error):
                    log.warning("the key is left as it was: %s", error)
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
