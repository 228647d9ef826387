"""Faults: what goes wrong on demand, and with which requests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from itertools import count
from random import Random
from types import TracebackType
from typing import Self, get_args

import msgspec

from aioservices.emulator.arguments import (
    check_integer,
    check_kind,
    check_seconds,
    check_text,
    shown,
)

__all__ = [
    "Cut",
    "Delay",
    "Effect",
    "Fault",
    "Faults",
    "Garble",
    "Gzip",
    "RequestFaults",
    "Reset",
    "Respond",
    "Stall",
    "phrase",
]

# What a header may contain: RFC 9110, 5.1 and 5.5.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")

_PHRASES = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Payload Too Large",
    416: "Range Not Satisfiable",
    422: "Unprocessable Entity",
}


@dataclass(frozen=True, slots=True)
class Delay:
    """The answer comes later.

    Parameters
    ----------
    seconds
        The delay. The request takes effect at its end, even if the client has gone.
    """

    seconds: float

    def __post_init__(self) -> None:
        check_seconds(self.seconds, "seconds")


@dataclass(frozen=True, slots=True)
class Respond:
    """Another answer.

    Parameters
    ----------
    status
        The HTTP status, from 200 to 599.
    body
        Three words have a special meaning: `"json"`, the error that the API would
        send; `"html"`, a page as proxies send it; `"empty"`, none. Any other text and any
        bytes are sent as they are, and any other object as JSON.
    retry_after
        The header of that name: a number is sent as seconds, a timedelta as the HTTP date
        that far ahead. None: no such header.
    headers
        More headers; one named `Content-Type` replaces the one that goes with the body.
    acts
        Whether the request takes effect before it is answered.

    Raises
    ------
    TypeError
        The body cannot be written as JSON, or an argument is of another type.
    ValueError
        The status is out of range, or a header cannot be sent.
    """

    status: int
    body: object = "json"
    retry_after: float | timedelta | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    acts: bool = False

    def __post_init__(self) -> None:
        check_integer(self.status, "status", least=200, most=599)
        check_kind(self.retry_after, int | float | timedelta | None, "retry_after")
        if isinstance(self.retry_after, int | float):
            check_seconds(self.retry_after, "retry_after")
        for name, value in self.headers.items():
            if not _TOKEN.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
                raise ValueError(f"headers must be valid HTTP headers, not {name!r}")
        self.content()

    def content(self) -> tuple[bytes, str] | None:
        """Return the body with its content type; None for the error that the API would send.

        Not part of the public interface.
        """
        body = self.body
        if body == "json":
            return None
        if body == "empty":
            return b"", ""
        if body == "html":
            title = f"{self.status} {phrase(self.status)}"
            head = f"<html><head><title>{title}</title></head>"
            return f"{head}<body><h1>{title}</h1></body></html>\n".encode(), "text/html"
        if isinstance(body, str):
            kind = "text/html" if body.lstrip().startswith("<") else "text/plain; charset=utf-8"
            return check_text(body, "body").encode(), kind
        if isinstance(body, bytes | bytearray):
            return bytes(body), "application/json"
        try:
            return msgspec.json.encode(body), "application/json"
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"body must be text, bytes or a value of JSON: {error}") from None


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset.

    Parameters
    ----------
    in_body
        After half of the body, and not before the answer.
    acts
        Whether the request takes effect before; in the body it always does.
    """

    in_body: bool = False
    acts: bool = False


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing more is sent, while the connection stays open.

    Parameters
    ----------
    in_body
        After half of the body, and not before the answer.
    seconds
        After which the connection is closed.
    acts
        Whether the request takes effect before; in the body it always does.
    """

    in_body: bool = False
    seconds: float = 3600.0
    acts: bool = False

    def __post_init__(self) -> None:
        check_seconds(self.seconds, "seconds")


@dataclass(frozen=True, slots=True)
class Cut:
    """The body ends in the middle, and the connection with it, as if nothing were wrong."""


@dataclass(frozen=True, slots=True)
class Garble:
    """The body is complete but not JSON."""


@dataclass(frozen=True, slots=True)
class Gzip:
    """The body is compressed, which is allowed, and breaks some clients."""


_ids = count(1)

Effect = Delay | Respond | Reset | Stall | Cut | Garble | Gzip


class Fault:
    """One fault: counts its hits, and removes itself at the end of a `with` block.

    Attributes
    ----------
    id
        A number that no other fault has.
    effect
        What happens.
    method, path
        Which requests it affects; None: all.
    hits
        How many requests it has affected.
    """

    def __init__(
        self,
        effect: Effect,
        *,
        method: str | None,
        path: str | None,
        skip: int,
        times: int | None,
        probability: float,
        seed: int,
    ) -> None:
        if not isinstance(effect, Effect):  # pyright: ignore[reportUnnecessaryIsInstance]
            names = ", ".join(each.__name__ for each in get_args(Effect))
            given = effect.__name__ if isinstance(effect, type) else type(effect).__name__
            raise TypeError(f"effect must be an object of {names}; not {given}")
        if not 0 <= check_kind(probability, int | float, "probability") <= 1:
            raise ValueError(f"probability must be from 0 to 1, not {shown(probability)}")
        check_kind(method, str | None, "method")
        check_kind(path, str | None, "path")
        check_integer(skip, "skip")
        if times is not None:
            check_integer(times, "times")
        check_kind(seed, int, "seed")
        self.id = next(_ids)
        self.effect = effect
        self.hits = 0
        self.method = None if method is None else method.upper()
        self.path = path
        self._pattern = None if path is None else re.compile(_pattern(path))
        self._skip = skip
        self._times = times
        self._probability = probability
        self._random = Random(seed)
        self._removed = False

    def __repr__(self) -> str:
        return f"<Fault {self.effect} hits={self.hits}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the fault."""
        self._removed = True

    @property
    def spent(self) -> bool:
        """Whether it has ended."""
        return self._removed or (self._times is not None and self.hits >= self._times)

    def applies_to(self, method: str, path: str) -> bool:
        """Decide whether it affects a request, and count it.

        Not part of the public interface.
        """
        if self.spent or self.method not in (None, method):
            return False
        if self._pattern is not None and not self._pattern.fullmatch(path.rstrip("/")):
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        if self._random.random() >= self._probability:
            return False
        self.hits += 1
        return True


@dataclass(slots=True)
class RequestFaults:
    """All faults that affect one request.

    Attributes
    ----------
    delay
        Seconds by which it is late.
    replacement
        What happens in place of the answer.
    interruption
        What happens in the middle of the answer's body.
    garbled, compressed
        Whether the body is made unreadable, and whether it is compressed.
    """

    delay: float = 0.0
    replacement: Respond | Reset | Stall | None = None
    interruption: Cut | Reset | Stall | None = None
    garbled: bool = False
    compressed: bool = False

    def can_add(self, effect: Effect) -> bool:
        """Return whether an effect can happen together with the others."""
        match effect:
            case Respond() | Reset(in_body=False) | Stall(in_body=False):
                return self.replacement is None
            case Cut() | Reset() | Stall():
                return self.interruption is None
            case _:
                return True

    def add(self, effect: Effect) -> None:
        """Add an effect."""
        match effect:
            case Delay():
                self.delay += effect.seconds
            case Garble():
                self.garbled = True
            case Gzip():
                self.compressed = True
            case Respond() | Reset(in_body=False) | Stall(in_body=False):
                self.replacement = effect
            case _:
                self.interruption = effect


class Faults:
    """All active faults."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Add a fault."""
        self._faults.append(fault)

    def active(self) -> list[Fault]:
        """List the faults that have not ended."""
        self._faults = [fault for fault in self._faults if not fault.spent]
        return list(self._faults)

    def select(self, method: str, path: str) -> RequestFaults:
        """Choose the faults of a request: the first of each kind, and every delay."""
        chosen = RequestFaults()
        for fault in self.active() if self._faults else ():
            if chosen.can_add(fault.effect) and fault.applies_to(method, path):
                chosen.add(fault.effect)
        return chosen


def phrase(status: int) -> str:
    """Return the reason phrase of an HTTP status."""
    # The standard library of Python 3.13 has other words for 413, 416 and 422.
    return _PHRASES.get(status, "Unknown")


def _pattern(path: str) -> str:
    pieces = re.split(r"(\*\*|\*)", "/" + path.strip("/"))
    return "".join({"**": ".*", "*": "[^/]+"}.get(piece, re.escape(piece)) for piece in pieces)
