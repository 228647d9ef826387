"""The configuration of the log daemon: read from options, environment and a file, checked whole.

Every setting has one name: `keep_bytes` in the TOML file is ``AIOSERVICES_KEEP_BYTES`` in the
environment and ``--keep-bytes`` as an option. An option wins over the environment, which wins over
the file. All of it is read and checked before anything is opened, so that a wrong setting can
neither start half a daemon nor touch what is stored; every mistake is reported, not just the first.
"""

from __future__ import annotations

import datetime as dt
import os
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar, cast
from urllib.parse import unquote

import msgspec

from aioservices.errors import MissingAPIKeyError, ServicesError
from aioservices.http.auth import validate_api_key
from aioservices.stores import Retention, StoreConfigError
from aioservices.stores.files import files_of, refuse_store_file
from aioservices.stores.forward import Forwarder, JSONLForwarder, name_of, open_forwarder
from aioservices.stores.url import path_of

from .address import Address
from .settings import SETTINGS, LogFormat, LogLevel, Setting, Status

__all__ = ["PREFIX", "CollectConfig", "ConfigError", "Mistake", "read_config"]

PREFIX = "AIOSERVICES_"
_OPTIONS = {"services": "SERVICE", "endpoint": "--url"}  # that are not called as their settings
_LONGEST_FILE = 1_000_000  # bytes
_OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
T = TypeVar("T")


class Mistake(NamedTuple):
    """What is wrong with one setting.

    Attributes
    ----------
    source : str
        Where it was given: the option, the variable, or the file and its key.
    message : str
        What is wrong, and what to write instead.
    """

    source: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"


class ConfigError(ServicesError):
    """The configuration cannot be used; nothing was opened.

    Attributes
    ----------
    mistakes : tuple of Mistake
        All that is wrong.
    """

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)


class CollectConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration of the daemon.

    Attributes
    ----------
    services : tuple of str
        Ids, names and patterns of the services to collect. Empty: all.
    status : {'running', 'idle', 'any'}
        Which of them, by what they do now.
    store : str or None
        ``sqlite:PATH`` or ``postgresql://...``. None, with a forwarder: a small SQLite store of the
        daemon's own, emptied behind the forwarders.
    forward : tuple of str
        ``otlp:URL`` or ``jsonl:PATH``.
    listen : Address or None
        Where the page, the health checks and the metrics are served.
    listen_token_file : Path or None
        A file whose text is the token of the page. Needed where others can reach the address.
    keep : float or None
        Seconds for which lines are kept. None: for ever.
    keep_bytes : int or None
        Bytes that the store may take; the oldest lines go first.
    api_key_file : tuple of Path
        A file for each API key. Empty: the key in ``CIVIS_API_KEY``.
    endpoint : str or None
        Address of the API. None: ``CIVIS_API_ENDPOINT``, else the platform's.
    lease : float
        Seconds for which a daemon holds a service; with PostgreSQL.
    poll_interval, max_poll_interval, overlap, refresh : float
        Seconds, as for `Services.watch_logs`.
    grace : float or None
        Seconds; None as for `Services.watch_logs`.
    max_waiting_lines : int
        Lines of all services that may wait in memory for the store.
    otlp_headers : mapping of str to str
        Sent with every request to a collector of OTLP; only from ``OTEL_EXPORTER_OTLP_HEADERS``,
        because they may be secret.
    log_format : {'text', 'json'}
    log_level : {'debug', 'info', 'warning', 'error'}
    """

    services: tuple[str, ...] = ()
    status: Status = "running"
    store: str | None = None
    forward: tuple[str, ...] = ()
    listen: Address | None = None
    listen_token_file: Path | None = None
    keep: float | None = None
    keep_bytes: int | None = None
    api_key_file: tuple[Path, ...] = ()
    endpoint: str | None = None
    lease: float = 30.0
    poll_interval: float = 1.0
    max_poll_interval: float = 30.0
    overlap: float = 60.0
    refresh: float = 30.0
    grace: float | None = None
    max_waiting_lines: int = 200_000
    otlp_headers: Mapping[str, str] = {}
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"

    @property
    def store_url(self) -> str:
        """The store to open: the one that was named, or the daemon's own."""
        return self.store or f"sqlite:{_own_store()}"

    @property
    def retention(self) -> Retention | None:
        """What may be removed from the store; None if nothing may."""
        # The daemon's own store is only a buffer: what all forwarders have sent is of no more use.
        sent = () if self.store else self.forwarder_names
        if self.keep is None and self.keep_bytes is None and not sent:
            return None
        age = None if self.keep is None else dt.timedelta(seconds=self.keep)
        return Retention(max_age=age, max_bytes=self.keep_bytes, forwarded_to=sent)

    @property
    def forwarder_names(self) -> tuple[str, ...]:
        """The names of the forwarders, by which the store knows them."""
        return tuple(map(name_of, self.forwarders()))

    def forwarders(self) -> list[Forwarder]:
        """Make the forwarders; nothing is opened."""
        return [open_forwarder(url, headers=self.otlp_headers) for url in self.forward]


def read_config(
    options: Mapping[str, object],
    *,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> CollectConfig:
    """Read and check the whole configuration.

    Parameters
    ----------
    options : mapping of str to object
        What the command line gave, by the names of the settings. None and empty lists are left out.
    environment : mapping of str to str, optional
        Default: that of the process.
    file : Path, optional
        A TOML file. Default: the one that ``AIOSERVICES_CONFIG`` names, if it does.

    Returns
    -------
    CollectConfig

    Raises
    ------
    ConfigError
        With everything that is wrong.
    """
    environment = os.environ if environment is None else environment
    mistakes: list[Mistake] = []
    named = environment.get(f"{PREFIX}CONFIG", "")
    if file is None and named:
        file = Path(named)
    values: dict[str, object] = {}
    sources: dict[str, str] = {}  # of every setting that was given, rightly or wrongly
    for source in (
        _from_file(file, mistakes),
        _from_environment(environment, mistakes),
        _from_options(options),
    ):
        for name, (where, value) in source.items():
            sources[name] = where
            try:
                values[name] = _parse(SETTINGS[name], value)
            except (ValueError, StoreConfigError) as error:
                mistakes.append(Mistake(where, str(error)))
    values["otlp_headers"] = _otlp_headers(environment, mistakes)
    if file is None or not any(each.source == str(file) for each in mistakes):
        # Of a file that cannot be read nobody knows what it says.
        mistakes += _contradictions(values, sources, environment)
    if mistakes:
        raise ConfigError(mistakes)
    return msgspec.convert(values, CollectConfig, dec_hook=lambda _, value: value)


_Given: TypeAlias = dict[str, tuple[str, object]]


def _parse(setting: Setting[T], value: object) -> T | tuple[T, ...]:
    if not setting.many:
        return setting.parse(value)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError('must be a list, such as ["a", "b"]')  # noqa: TRY004 - of its text
    return tuple(setting.parse(each) for each in cast("Sequence[object]", value))


def _from_file(path: Path | None, mistakes: list[Mistake]) -> _Given:
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_FILE + 1)
        if len(text) > _LONGEST_FILE:  # as from a device that never ends
            mistakes.append(Mistake(str(path), f"is longer than {_LONGEST_FILE:,} bytes"))
            return {}
        table = tomllib.loads(text.decode("utf-8-sig"))
    except OSError as error:
        mistakes.append(Mistake(str(path), error.strerror or "cannot be read"))
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        mistakes.append(Mistake(str(path), f"not valid TOML: {error}"))
        return {}
    mistakes += [
        Mistake(f"{path}: {name}", f"there is no such setting{_close(name)}")
        for name in table
        if name not in SETTINGS
    ]
    return {name: (f"{path}: {name}", table[name]) for name in table if name in SETTINGS}


def _from_environment(environment: Mapping[str, str], mistakes: list[Mistake]) -> _Given:
    given: _Given = {}
    for variable, text in environment.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or variable == f"{PREFIX}CONFIG" or not text:
            continue
        if name not in SETTINGS:
            mistakes.append(Mistake(variable, f"there is no such setting{_close(name, PREFIX)}"))
            continue
        many = SETTINGS[name].many
        given[name] = (variable, [each for each in text.split(",") if each] if many else text)
    return given


def _from_options(options: Mapping[str, object]) -> _Given:
    return {
        name: (_OPTIONS.get(name, f"--{name.replace('_', '-')}"), value)
        for name, value in options.items()
        if value is not None and value not in ((), [])
    }


def _contradictions(
    values: Mapping[str, object], sources: Mapping[str, str], environment: Mapping[str, str]
) -> list[Mistake]:
    """Find settings that are valid each, and contradict each other."""
    mistakes: list[Mistake] = []
    if "store" not in sources and "forward" not in sources:
        message = "say where the lines go: --store sqlite:logs.db, postgresql://..., or --forward"
        mistakes.append(Mistake("--store", message))
    listen = values.get("listen")
    if isinstance(listen, Address) and not listen.is_loopback and "listen_token_file" not in values:
        message = (
            f"others can reach {listen}: name the file of a token with --listen-token-file, "
            "or listen on 127.0.0.1"
        )
        mistakes.append(Mistake(sources["listen"], message))
    if "api_key_file" not in sources:
        mistakes += _key_mistakes(environment.get("CIVIS_API_KEY", ""))
    forward = cast("tuple[str, ...]", values.get("forward", ()))
    for name, count in Counter(name_of(open_forwarder(each)) for each in forward).items():
        if count > 1:
            message = f"{name} is given {count} times: give each destination once"
            mistakes.append(Mistake(sources["forward"], message))
    mistakes += _overwritten(values, sources)
    poll, longest = values.get("poll_interval", 1.0), values.get("max_poll_interval", 30.0)
    if cast("float", poll) > cast("float", longest):
        where = sources.get("poll_interval", sources.get("max_poll_interval", "--poll-interval"))
        mistakes.append(Mistake(where, "must not be longer than max_poll_interval"))
    if cast("float", values.get("lease", 30.0)) < 5:
        mistakes.append(Mistake(sources["lease"], "must be 5s or longer"))
    return mistakes


def _overwritten(values: Mapping[str, object], sources: Mapping[str, str]) -> list[Mistake]:
    """Find forwarders that would write into a file that is used otherwise."""
    taken: dict[Path, str] = {}
    store = values.get("store")
    if isinstance(store, str) and store.startswith("sqlite:"):
        taken |= dict.fromkeys(files_of(path_of(store)), "the store")
    for name in ("api_key_file", "listen_token_file"):
        given = values.get(name, ())
        paths = (given,) if isinstance(given, Path) else cast("tuple[Path, ...]", given)
        taken |= dict.fromkeys((path.resolve() for path in paths), name)
    mistakes: list[Mistake] = []
    for url in cast("tuple[str, ...]", values.get("forward", ())):
        forwarder = open_forwarder(url)
        if not isinstance(forwarder, JSONLForwarder):
            continue
        path = forwarder.path.resolve()
        if path in taken:
            message = f"{path} is used for {taken[path]}: lines would be written into it"
            mistakes.append(Mistake(sources["forward"], message))
            continue
        try:
            refuse_store_file(path)
        except StoreConfigError as error:
            mistakes.append(Mistake(sources["forward"], str(error)))
    return mistakes


def _key_mistakes(key: str) -> list[Mistake]:
    if not key:
        message = "no API key: name its file, or set the environment variable CIVIS_API_KEY"
        return [Mistake("--api-key-file", message)]
    try:
        validate_api_key(key)
    except (MissingAPIKeyError, ValueError):
        return [Mistake("CIVIS_API_KEY", "is not one API key, alone, in one line")]
    return []


def _otlp_headers(environment: Mapping[str, str], mistakes: list[Mistake]) -> dict[str, str]:
    """Read the headers in the form that OpenTelemetry gives them: ``name=value,name=value``."""
    headers: dict[str, str] = {}
    for pair in environment.get(_OTLP_HEADERS, "").split(","):
        name, equals, value = pair.partition("=")
        name, value = name.strip(), unquote(value.strip())
        if not pair.strip():
            continue
        if not equals or not name or not (name + value).isprintable() or " " in name:
            mistakes.append(Mistake(_OTLP_HEADERS, "must be written as name=value,name=value"))
            return {}
        headers[name] = value
    return headers


def _close(name: str, prefix: str = "") -> str:
    import difflib

    close = difflib.get_close_matches(name, SETTINGS, n=1)
    if not close:
        return f"; there are {', '.join(SETTINGS)}"
    meant = prefix + close[0].upper() if prefix else close[0]
    return f"; did you mean {meant}?"


def _own_store() -> Path:
    """Where the daemon keeps what waits for its forwarders, if no store was named."""
    for variable in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        if directory := os.environ.get(variable):
            return Path(directory.split(":")[0]) / "aioservices-forward.db"
    return Path.home() / ".local" / "state" / "aioservices-forward.db"
