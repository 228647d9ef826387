"""The state of an emulator in a file, from one start to the next.

The file holds services, deployments, shares, projects and tokens (without their values), and
the newest lines of each log. It also holds the environment variables of services, which the
API shows too: only its owner may read it. It holds no API key and no command: who starts the
emulator says again which services are programs.

A file is replaced as a whole, so that a crash leaves the old or the new one. A lock beside it
keeps a second emulator from the same file.
"""

import asyncio
import contextlib
import logging
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from aioservices.emulator import schemas
from aioservices.emulator.deployments import Deployment, Phase
from aioservices.emulator.logs import Log, SavedLine
from aioservices.emulator.schemas import PermissionLevel
from aioservices.emulator.state import Service, State

__all__ = ["KEPT_LINES", "StateFile", "StateFileError", "StateKeeper", "dump", "load"]

KEPT_LINES = 10_000
"""How many lines of each log are kept in the file."""

log = logging.getLogger(__name__)

# Seconds between the writings of the file: after a change, and without one.
_SAVE_INTERVAL = 1.0
_LINES_INTERVAL = 30.0
_FORMAT = "aioservices-emulator-state"
_VERSION = 1


class StateFileError(Exception):
    """The state file cannot be read, understood or written, or another emulator uses it."""


class _Deployment(Struct):
    details: schemas.Deployment
    phases: list[Phase]
    lines: list[SavedLine]
    is_program: bool
    log_interval: int | None
    written: int


class _Service(Struct):
    details: schemas.Service
    is_program: bool
    deployments: list[_Deployment]
    current: int | None
    user_levels: dict[int, PermissionLevel]
    group_levels: dict[int, PermissionLevel]
    projects: dict[int, int]
    tokens: list[schemas.Token]


class _State(Struct):
    format: str
    version: int
    last_service_id: int
    last_deployment_id: int
    last_token_id: int
    granted: list[tuple[str, int, int]]
    deploys: dict[int, int]
    services: list[_Service]


def dump(state: State, now: int, *, lines: int = KEPT_LINES) -> bytes:
    """Write a state as JSON.

    Parameters
    ----------
    state
        What to write.
    now
        The time, in nanoseconds.
    lines
        How many of the newest lines of each log are kept.
    """
    saved = _State(
        format=_FORMAT,
        version=_VERSION,
        last_service_id=state.last_service_id,
        last_deployment_id=state.last_deployment_id,
        last_token_id=state.last_token_id,
        granted=sorted(state.granted),
        deploys=dict(state.deploys),
        services=[_dump_service(service, now, lines) for service in state.services.values()],
    )
    return msgspec.json.encode(saved)


def load(content: bytes, state: State, now: int) -> None:
    """Read a state back into an empty one.

    What ran as a program has ended with the emulator, and nothing was written meanwhile.

    Raises
    ------
    ValueError
        The content was not written by `dump`.
    """
    head = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    if head.get("format") != msgspec.Raw(f'"{_FORMAT}"'.encode()):
        raise ValueError("it is not the state of an emulator")
    if head.get("version") != msgspec.Raw(str(_VERSION).encode()):
        raise ValueError("another version of the emulator has written it")
    saved = msgspec.json.decode(content, type=_State)
    state.last_service_id = saved.last_service_id
    state.last_deployment_id = saved.last_deployment_id
    state.last_token_id = saved.last_token_id
    state.granted = set(saved.granted)
    state.deploys = Counter(saved.deploys)
    for each in saved.services:
        state.services[each.details.id] = _load_service(each, state.retention, now)


def _dump_service(service: Service, now: int, lines: int) -> _Service:
    return _Service(
        details=service.details,
        is_program=service.program is not None or service.lost_program,
        deployments=[_dump_deployment(each, now, lines) for each in service.deployments.values()],
        current=None if service.current is None else service.current.id,
        user_levels=service.user_levels,
        group_levels=service.group_levels,
        projects=service.projects,
        tokens=list(service.tokens.values()),
    )


def _dump_deployment(deployment: Deployment, now: int, lines: int) -> _Deployment:
    return _Deployment(
        details=deployment.view(now),
        phases=deployment.phases,
        lines=deployment.log.saved(lines),
        is_program=deployment.is_program,
        log_interval=deployment.log_interval,
        written=deployment.written,
    )


def _load_service(saved: _Service, retention: int, now: int) -> Service:
    deployments = {
        each.details.deployment_id: _load_deployment(each, retention, now)
        for each in saved.deployments
    }
    return Service(
        saved.details,
        lost_program=saved.is_program,
        deployments=deployments,
        current=None if saved.current is None else deployments[saved.current],
        user_levels=saved.user_levels,
        group_levels=saved.group_levels,
        projects=saved.projects,
        tokens={token.id: token for token in saved.tokens},
    )


def _load_deployment(saved: _Deployment, retention: int, now: int) -> Deployment:
    log = Log(retention)
    log.restore(saved.lines)
    deployment = Deployment(
        saved.details,
        saved.phases,
        log,
        log_interval=saved.log_interval,
        is_program=saved.is_program,
    )
    deployment.written = saved.written
    deployment.continue_at(now)
    if saved.is_program:
        deployment.end(now, "terminated", "The emulator was stopped")
    return deployment


class StateFile:
    """The file that keeps a state.

    Parameters
    ----------
    path
        Where it is, or will be.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock: IO[bytes] | None = None

    def load(self, state: State, now: int) -> bool:
        """Read the file, if there is one, into an empty state; returns whether there was one.

        Raises
        ------
        StateFileError
            It cannot be read, or is not the state of an emulator.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._error("read", error) from error
        try:
            load(content, state, now)
        except (ValueError, KeyError) as error:
            # The message of a decoder may show a value, which may be a secret.
            known = type(error) is ValueError
            reason = str(error) if known else "it is damaged, or has been edited"
            remedy = "Use another file, or remove this one to start with an empty state"
            message = f"{self.path} cannot be used as state: {reason}. {remedy}"
            raise StateFileError(message) from None
        return True

    def save(self, content: bytes) -> None:
        """Replace the file.

        Raises
        ------
        StateFileError
            It cannot be written.
        """
        try:
            self._replace(content)
        except OSError as error:
            raise self._error("written", error) from error

    def _replace(self, content: bytes) -> None:
        folder = self.path.resolve().parent
        number, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=folder)
        try:
            with os.fdopen(number, "wb") as file:  # only its owner may read it
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path.resolve())
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise

    def lock(self) -> None:
        """Keep other emulators from the file.

        Raises
        ------
        StateFileError
            Another emulator uses it, or the lock cannot be written.
        """
        try:
            import fcntl
        except ImportError:  # not on Windows
            return
        while self._lock is None:
            try:
                file = self._lock_path.open("ab")
            except OSError as error:
                raise self._error("written", error) from error
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Its owner may just have removed it.
                if os.path.samestat(os.fstat(file.fileno()), self._lock_path.stat()):
                    self._lock = file
                    return
            except FileNotFoundError:
                pass
            except BlockingIOError:
                file.close()
                raise StateFileError(f"{self.path} is in use by another emulator") from None
            file.close()

    def unlock(self) -> None:
        """Release the file for other emulators."""
        if self._lock is not None:
            self._lock_path.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    @property
    def _lock_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.lock")

    def _error(self, what: str, error: OSError) -> StateFileError:
        return StateFileError(f"{self.path} cannot be {what}: {error.strerror or error}")


class StateKeeper:
    """Writes the state file after each change, and periodically for the lines of logs.

    Parameters
    ----------
    file
        Where the state is kept.
    dump
        Returns the current state; called from another thread.
    """

    def __init__(self, file: StateFile, dump: Callable[[], bytes]) -> None:
        self.file = file
        self._dump = dump
        self._changed = False

    def mark_changed(self) -> None:
        """Request that the state is written soon; may be called from any thread."""
        self._changed = True

    async def run(self) -> None:
        """Write it whenever it has changed, until cancelled."""
        saved_at = time.monotonic()
        while True:
            await asyncio.sleep(_SAVE_INTERVAL)
            if self._changed or time.monotonic() - saved_at > _LINES_INTERVAL:
                try:
                    await self.save()
                except StateFileError as error:
                    log.warning("%s", error)
                    self._changed = True
                saved_at = time.monotonic()

    async def save(self) -> None:
        """Write it now.

        Raises
        ------
        StateFileError
            It cannot be written.
        """
        self._changed = False
        await asyncio.to_thread(lambda: self.file.save(self._dump()))
