"""The configuration of the log daemon: read from options, environment and a file, then checked.

Every setting has one name: `keep_bytes` in the TOML file is ``AIOSERVICES_KEEP_BYTES`` in the
environment and ``--keep-bytes`` as an option. An option overrides the environment, which overrides
the file. Everything is read and checked before anything is opened, so that an invalid setting can
neither start half a daemon nor change the store. All mistakes are reported, not only the first.
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
_OPTIONS = {
    "services": "SERVICE",
    "endpoint": "--url",
}  # whose names differ from those of their settings
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
        Everything that is wrong.
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
        ``sqlite:PATH`` or ``postgresql://...``. None, with a forwarder: a small private SQLite
        store, from which forwarded lines are removed.
    forward : tuple of str
        ``otlp:URL`` or ``jsonl:PATH``.
    listen : Address or None
        Where the page, the health checks and the metrics are served.
    listen_token_file : Path or None
        A file with the token of the page. Required if other machines can reach the address.
    keep : float or None
        Seconds for which lines are kept. None: forever.
    keep_bytes : int or None
        Size limit of the store in bytes; the oldest lines are removed first.
    api_key_file : tuple of Path
        Files with one API key each. Empty: the key in ``CIVIS_API_KEY``.
    endpoint : str or None
        Address of the API. None: ``CIVIS_API_ENDPOINT``, else the platform's.
    lease : float
        Seconds for which a daemon holds a service; for PostgreSQL.
    poll_interval, max_poll_interval, overlap, refresh : float
        Seconds, as for `Services.watch_logs`.
    grace : float or None
        Seconds; None as for `Services.watch_logs`.
    max_waiting_lines : int
        Lines of all services that may wait in memory to be stored.
    otlp_headers : mapping of str to str
        Sent with every request to an OTLP collector; only from ``OTEL_EXPORTER_OTLP_HEADERS``,
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
        """The store to open: the configured one, or the private one."""
        return self.store or f"sqlite:{_private_store()}"

    @property
    def retention(self) -> Retention | None:
        """What may be removed from the store; None if nothing may."""
        # The private store is only a buffer: what all forwarders have sent is not needed any more.
        sent = () if self.store else self.forwarder_names
        if self.keep is None and self.keep_bytes is None and not sent:
            return None
        age = None if self.keep is None else dt.timedelta(seconds=self.keep)
        return Retention(max_age=age, max_bytes=self.keep_bytes, forwarded_to=sent)

    @property
    def forwarder_names(self) -> tuple[str, ...]:
        """The names under which the store keeps the positions of the forwarders."""
        return tuple(map(name_of, self.forwarders()))

    def forwarders(self) -> list[Forwarder]:
        """Make the forwarders, without opening anything."""
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
        The options of the command line, by setting. None and empty lists are ignored.
    environment : mapping of str to str, optional
        Default: the environment of the process.
    file : Path, optional
        A TOML file. Default: the one named by ``AIOSERVICES_CONFIG``, if any.

    Returns
    -------
    CollectConfig

    Raises
    ------
    ConfigError
        With all mistakes.
    """
    environment = os.environ if environment is None else environment
    mistakes: list[Mistake] = []
    named = environment.get(f"{PREFIX}CONFIG", "")
    if file is None and named:
        file = Path(named)
    values: dict[str, object] = {}
    sources: dict[str, str] = {}  # of every setting that was given, valid or not
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
        # If the file cannot be read, the settings in it are unknown.
        mistakes += _find_contradictions(values, sources, environment)
    if mistakes:
        raise ConfigError(mistakes)
    return msgspec.convert(values, CollectConfig, dec_hook=lambda _, value: value)


_Given: TypeAlias = dict[str, tuple[str, object]]


def _parse(setting: Setting[T], value: object) -> T | tuple[T, ...]:
    if not setting.many:
        return setting.parse(value)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError('must be a list, such as ["a", "b"]')  # noqa: TRY004 - about its text
    return tuple(setting.parse(each) for each in cast("Sequence[object]", value))


def _from_file(path: Path | None, mistakes: list[Mistake]) -> _Given:
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_FILE + 1)
        if len(text) > _LONGEST_FILE:  # such as an endless device
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
        Mistake(f"{path}: {name}", f"there is no such setting{_suggest(name)}")
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
            mistakes.append(Mistake(variable, f"there is no such setting{_suggest(name, PREFIX)}"))
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


def _find_contradictions(
    values: Mapping[str, object], sources: Mapping[str, str], environment: Mapping[str, str]
) -> list[Mistake]:
    """Find settings that are valid by themselves, but contradict each other."""
    mistakes: list[Mistake] = []
    if "store" not in sources and "forward" not in sources:
        message = (
            "say where to store the lines: --store sqlite:logs.db, postgresql://..., or --forward"
        )
        mistakes.append(Mistake("--store", message))
    listen = values.get("listen")
    if isinstance(listen, Address) and not listen.is_loopback and "listen_token_file" not in values:
        message = (
            f"other machines can reach {listen}: pass the file of a token with "
            "--listen-token-file, or listen on 127.0.0.1"
        )
        mistakes.append(Mistake(sources["listen"], message))
    if "api_key_file" not in sources:
        mistakes += _key_mistakes(environment.get("CIVIS_API_KEY", ""))
    forward = cast("tuple[str, ...]", values.get("forward", ()))
    for name, count in Counter(name_of(open_forwarder(each)) for each in forward).items():
        if count > 1:
            message = f"{name} is given {count} times: give each destination once"
            mistakes.append(Mistake(sources["forward"], message))
    mistakes += _find_overwritten(values, sources)
    poll, longest = values.get("poll_interval", 1.0), values.get("max_poll_interval", 30.0)
    if cast("float", poll) > cast("float", longest):
        where = sources.get("poll_interval", sources.get("max_poll_interval", "--poll-interval"))
        mistakes.append(Mistake(where, "must not be longer than max_poll_interval"))
    if cast("float", values.get("lease", 30.0)) < 5:
        mistakes.append(Mistake(sources["lease"], "must be 5s or longer"))
    return mistakes


def _find_overwritten(values: Mapping[str, object], sources: Mapping[str, str]) -> list[Mistake]:
    """Find forwarders that would overwrite a file with another purpose."""
    used: dict[Path, str] = {}
    store = values.get("store")
    if isinstance(store, str) and store.startswith("sqlite:"):
        used |= dict.fromkeys(files_of(path_of(store)), "the store")
    for name in ("api_key_file", "listen_token_file"):
        given = values.get(name, ())
        paths = (given,) if isinstance(given, Path) else cast("tuple[Path, ...]", given)
        used |= dict.fromkeys((path.resolve() for path in paths), name)
    mistakes: list[Mistake] = []
    for url in cast("tuple[str, ...]", values.get("forward", ())):
        forwarder = open_forwarder(url)
        if not isinstance(forwarder, JSONLForwarder):
            continue
        path = forwarder.path.resolve()
        if path in used:
            message = f"{path} is used for {used[path]}: lines would be written into it"
            mistakes.append(Mistake(sources["forward"], message))
            continue
        try:
            refuse_store_file(path)
        except StoreConfigError as error:
            mistakes.append(Mistake(sources["forward"], str(error)))
    return mistakes


def _key_mistakes(key: str) -> list[Mistake]:
    if not key:
        message = "no API key: pass its file, or set the environment variable CIVIS_API_KEY"
        return [Mistake("--api-key-file", message)]
    try:
        validate_api_key(key)
    except (MissingAPIKeyError, ValueError):
        return [Mistake("CIVIS_API_KEY", "must be exactly one API key, on one line")]
    return []


def _otlp_headers(environment: Mapping[str, str], mistakes: list[Mistake]) -> dict[str, str]:
    """Read headers in the format of OpenTelemetry: ``name=value,name=value``."""
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


def _suggest(name: str, prefix: str = "") -> str:
    import difflib

    close = difflib.get_close_matches(name, SETTINGS, n=1)
    if not close:
        return f"; there are {', '.join(SETTINGS)}"
    meant = prefix + close[0].upper() if prefix else close[0]
    return f"; did you mean {meant}?"


def _private_store() -> Path:
    """The path of the private store, for lines that wait for the forwarders."""
    for variable in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        if directory := os.environ.get(variable):
            return Path(directory.split(":")[0]) / "aioservices-forward.db"
    return Path.home() / ".local" / "state" / "aioservices-forward.db"
