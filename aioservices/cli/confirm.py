"""Asking a person before something is changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aioservices.terminal.output import stderr

from .console import sentence
from .errors import FAILED, USAGE_ERROR, CommandError

__all__ = ["confirm", "counted", "enumerated", "numbered"]

_NAMED = 10  # so many items are named in a question


def confirm(action: str, *, yes: bool, consequence: str = "") -> None:
    """Ask for confirmation of what is going to be done.

    Parameters
    ----------
    action : str
        What would be done, as ``stop service web (42)``.
    yes : bool
        Whether it was confirmed on the command line.
    consequence : str, optional
        What cannot be undone.

    Raises
    ------
    CommandError
        If nobody can be asked, or they say no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(
            f"this would {action}: confirm with --yes, or check with --dry-run", status=USAGE_ERROR
        )
    if consequence:
        stderr().post(f"{sentence(consequence, stderr())}\n")
    question = f"{action[:1].upper()}{action[1:]}? [y/N]"
    stderr().post(f"{sentence(question, stderr())} ")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("nothing was done", status=FAILED)


def counted(kind: str, things: Sequence[str]) -> str:
    """Name items of a kind, with their number.

    Examples
    --------
    >>> counted("service", ["web (42)"]), counted("service", ["web (42)", "api (43)"])
    ('service web (42)', '2 services: web (42), api (43)')
    """
    count = kind if len(things) == 1 else f"{len(things)} {kind}s:"
    return f"{count} {enumerated(things)}"


def numbered(kind: str, ids: Sequence[int]) -> str:
    """Number items of a kind that have no name.

    Examples
    --------
    >>> numbered("token", [1]), numbered("token", [1, 2])
    ('token 1', 'tokens 1, 2')
    """
    return f"{kind}{'s' * (len(ids) > 1)} {enumerated([*map(str, ids)])}"


def enumerated(things: Sequence[str], *, most: int = _NAMED) -> str:
    """Name some items, and count the others.

    Examples
    --------
    >>> enumerated(["a", "b", "c"]), enumerated(["a", "b", "c"], most=2)
    ('a, b, c', 'a, b and 1 more')
    """
    named = ", ".join(things[:most])
    more = len(things) - most
    return f"{named} and {more} more" if more > 0 else named
