"""The settings of the log daemon: the name of each, and how its value is read and checked."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar, cast, get_args

from aioservices.http.url import validate_base_url
from aioservices.stores import open_store
from aioservices.stores.forward import open_forwarder
from aioservices.stores.sizes import parse_size
from aioservices.terminal.times import parse_duration
from aioservices.validation import LONGEST_SECONDS, SHORTEST_INTERVAL, validate_int

from .address import Address, parse_address
from .secret_files import read_api_key, read_token

__all__ = ["SETTINGS", "LogFormat", "LogLevel", "Setting", "Status"]

T = TypeVar("T")
LogFormat: TypeAlias = Literal["text", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
Status: TypeAlias = Literal["running", "idle", "any"]

_MAX_DIGITS = 30


class Setting(NamedTuple, Generic[T]):
    """One setting: how its value is parsed, and whether it may be given several times."""

    parse: Callable[[object], T]
    many: bool = False


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text, and not empty")
    return value.strip()


def _service(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = _text(value)
    if text.isascii() and text.isdecimal():  # digits are an id, even an invalid one, never a name
        return str(validate_int(int(text[:_MAX_DIGITS]), "an id", least=1))
    return text


def _path(value: object) -> Path:
    return Path(_text(value)).expanduser()


def _seconds(value: object, *, zero: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a duration, such as 30s, 10m or 90d")  # noqa: TRY004 - about its text
    seconds = parse_duration(value) if isinstance(value, str) else value
    if not (seconds >= SHORTEST_INTERVAL or (seconds == 0 and zero)):  # NaN is neither
        raise ValueError(f"must be greater than zero: {SHORTEST_INTERVAL:g} seconds or more")
    if seconds > LONGEST_SECONDS:
        raise ValueError(f"must be {LONGEST_SECONDS:.0f} seconds or less")
    return float(seconds)


def _seconds_or_zero(value: object) -> float:
    return _seconds(value, zero=True)


def _bytes(value: object) -> int:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    size = cast("int", value) if is_number else parse_size(str(value))
    if not 1_000_000 <= size < 2**63:
        raise ValueError("must be 1MB or more, and less than 8 EiB")
    return size


def _address(value: object) -> Address:
    return parse_address(_text(value))


def _count(value: object) -> int:
    if isinstance(value, str) and len(value) <= 10 and value.isascii() and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
        raise ValueError(f"must be an integer from 1 to {2**31 - 1}")
    return value


def _one_of(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {value!r}")
        return str(value)

    return parse


def _store(value: object) -> str:
    url = _text(value)
    open_store(url)  # opens nothing until it is entered
    return url


def _forwarder(value: object) -> str:
    url = _text(value)
    open_forwarder(url)
    return url


def _endpoint(value: object) -> str:
    return validate_base_url(_text(value), argument="the address")


def _readable(value: object) -> Path:
    path = _path(value)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"{path} is not a file")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if not os.access(path, os.R_OK):
        raise ValueError(f"{path} cannot be read by this user")
    return path


def _key_file(value: object) -> Path:
    path = _readable(value)
    read_api_key(path)
    return path


def _token_file(value: object) -> Path:
    path = _readable(value)
    read_token(path)
    return path


SETTINGS: Mapping[str, Setting[object]] = {
    "services": Setting(_service, many=True),
    "status": Setting(_one_of(*get_args(Status))),
    "store": Setting(_store),
    "forward": Setting(_forwarder, many=True),
    "listen": Setting(_address),
    "listen_token_file": Setting(_token_file),
    "keep": Setting(_seconds),
    "keep_bytes": Setting(_bytes),
    "api_key_file": Setting(_key_file, many=True),
    "endpoint": Setting(_endpoint),
    "lease": Setting(_seconds),
    "poll_interval": Setting(_seconds),
    "max_poll_interval": Setting(_seconds),
    "overlap": Setting(_seconds_or_zero),
    "refresh": Setting(_seconds),
    "grace": Setting(_seconds_or_zero),
    "max_waiting_lines": Setting(_count),
    "log_format": Setting(_one_of(*get_args(LogFormat))),
    "log_level": Setting(_one_of(*get_args(LogLevel))),
}
