"""Secrets that no repr shows.

A traceback with local variables, as error trackers record it, shows the repr of everything that a
frame holds, also in the frames of other libraries that a secret is handed to. So a secret is kept
in an object that is what they expect, a string or bytes, and has a repr that hides it.
"""

from __future__ import annotations

__all__ = ["Hidden", "SecretBytes", "SecretStr"]


class SecretStr(str):
    """A text, such as an API key or a header that holds it, whose repr hides it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class SecretBytes(bytes):
    """The body of a request, which may hold environment variables; its repr shows its size."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


class Hidden:
    """Any value that may hold secrets.

    Attributes
    ----------
    value : object
    """

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value
