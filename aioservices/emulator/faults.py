"""What goes wrong on demand."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from types import TracebackType
from typing import Literal, Self, get_args

from aioservices.emulator.arguments import check_choice, check_kind

__all__ = [
    "Cut",
    "Delay",
    "Effect",
    "Fault",
    "Faults",
    "Garble",
    "Gzip",
    "Reset",
    "Respond",
    "Stall",
    "Strike",
]


Body = Literal["json", "html", "empty"]


@dataclass(frozen=True, slots=True)
class Delay:
    """The answer comes later.

    Parameters
    ----------
    seconds
        How much later. The request takes effect at the end of them, even when the client
        has gone.
    """

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds(self.seconds, "seconds")


@dataclass(frozen=True, slots=True)
class Respond:
    """Another answer.

    Parameters
    ----------
    status
        The HTTP status.
    body
        `"json"` is the API's own shape of errors, `"html"` what a proxy would say,
        `"empty"` nothing; bytes are sent as they are, as JSON.
    retry_after
        The header of that name: a number is written as seconds, a timedelta as the HTTP
        date that far ahead. None: no such header.
    headers
        More headers.
    acts
        Whether the request takes effect before it is answered so.
    """

    status: int
    body: Body | bytes = "json"
    retry_after: float | timedelta | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    acts: bool = False

    def __post_init__(self) -> None:
        if not 200 <= check_kind(self.status, int, "status") <= 599:
            raise ValueError(f"status must be from 200 to 599, not {self.status}")
        if not isinstance(self.body, bytes):
            check_choice(self.body, Body, "body")


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
    """Nothing more comes, while the connection stays open.

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
        _check_seconds(self.seconds, "seconds")


@dataclass(frozen=True, slots=True)
class Cut:
    """The body ends in the middle, and the connection with it, as if nothing were wrong."""


@dataclass(frozen=True, slots=True)
class Garble:
    """The body is complete, and no JSON."""


@dataclass(frozen=True, slots=True)
class Gzip:
    """The body is compressed; this one is no fault, but a thing that clients trip over."""


Effect = Delay | Respond | Reset | Stall | Cut | Garble | Gzip


class Fault:
    """A fault that waits for its requests: a handle, and a context manager that removes it.

    Attributes
    ----------
    effect
        What happens.
    hits
        To how many requests it has happened.
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
            raise ValueError(f"probability must be from 0 to 1, not {probability}")
        check_kind(method, str | None, "method")
        check_kind(path, str | None, "path")
        for name, count in (("skip", skip), ("times", times)):
            if count is not None and check_kind(count, int, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {count}")
        self.effect = effect
        self.hits = 0
        self._method = None if method is None else method.upper()
        self._path = None if path is None else re.compile(_pattern(path))
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
        """Let it happen no more."""
        self._removed = True

    @property
    def spent(self) -> bool:
        """Whether it will not happen again."""
        return self._removed or (self._times is not None and self.hits >= self._times)

    def strikes(self, method: str, path: str) -> bool:
        """Decide on a request, and count it."""
        if self.spent or self._method not in (None, method):
            return False
        if self._path is not None and not self._path.fullmatch(path.rstrip("/")):
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        if self._random.random() >= self._probability:
            return False
        self.hits += 1
        return True


@dataclass(slots=True)
class Strike:
    """All that happens to one request.

    Attributes
    ----------
    delay
        Seconds by which it is late.
    instead
        What happens in place of the answer.
    broken
        What happens in the middle of the answer's body.
    garbled, compressed
        What is done to the body.
    """

    delay: float = 0.0
    instead: Respond | Reset | Stall | None = None
    broken: Cut | Reset | Stall | None = None
    garbled: bool = False
    compressed: bool = False

    def has_room_for(self, effect: Effect) -> bool:
        """Say whether an effect could happen too."""
        match effect:
            case Respond() | Reset(in_body=False) | Stall(in_body=False):
                return self.instead is None
            case Cut() | Reset() | Stall():
                return self.broken is None
            case _:
                return True

    def add(self, effect: Effect) -> None:
        """Let an effect happen too."""
        match effect:
            case Delay():
                self.delay += effect.seconds
            case Garble():
                self.garbled = True
            case Gzip():
                self.compressed = True
            case Respond() | Reset(in_body=False) | Stall(in_body=False):
                self.instead = effect
            case _:
                self.broken = effect


class Faults:
    """All faults there are."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Wait for the requests of a fault."""
        self._faults.append(fault)

    def strike(self, method: str, path: str) -> Strike:
        """Say what happens to a request: the first fault of each kind, and every delay."""
        strike = Strike()
        if self._faults:
            self._faults = [fault for fault in self._faults if not fault.spent]
        for fault in self._faults:
            if strike.has_room_for(fault.effect) and fault.strikes(method, path):
                strike.add(fault.effect)
        return strike


def _check_seconds(seconds: float, name: str) -> None:
    if not 0 <= check_kind(seconds, int | float, name) < math.inf:
        raise ValueError(f"{name} must be 0 or more, not {seconds}")


def _pattern(path: str) -> str:
    pieces = re.split(r"(\*\*|\*)", "/" + path.strip("/"))
    return "".join({"**": ".*", "*": "[^/]+"}.get(piece, re.escape(piece)) for piece in pieces)
