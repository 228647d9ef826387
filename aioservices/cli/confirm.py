"""Asking a person before something is changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aioservices.terminal.output import stderr

from .errors import FAILED, MISUSED, CommandError

__all__ = ["confirm", "enumerated"]

_NAMED = 10  # so many are named, of the things that a question is about


def confirm(
    action: str, things: Sequence[str], *, kind: str, yes: bool, consequence: str = ""
) -> None:
    """Have a person confirm what is going to be done.

    Parameters
    ----------
    action : str
        What would be done, as ``stop``.
    things : sequence of str
        To what, each as ``web (42)``.
    kind : str
        What these are, as ``service``.
    yes : bool
        Whether the answer was given on the command line.
    consequence : str, optional
        What cannot be undone.

    Raises
    ------
    CommandError
        If nobody can be asked, or they say no.
    """
    if yes:
        return
    count = f"{kind} " if len(things) == 1 else f"{len(things)} {kind}s: "
    about = f"{action} {count}{enumerated(things)}"
    if not sys.stdin.isatty():
        raise CommandError(
            f"this would {about}: say --yes if it should, or look with --dry-run", status=MISUSED
        )
    if consequence:
        stderr().post(f"{consequence}\n")
    stderr().post(f"{about[:1].upper()}{about[1:]}? [y/N] ")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("nothing was done", status=FAILED)


def enumerated(things: Sequence[str], *, most: int = _NAMED) -> str:
    """Name some things, and count the others.

    Examples
    --------
    >>> enumerated(["a", "b", "c"]), enumerated(["a", "b", "c"], most=2)
    ('a, b, c', 'a, b and 1 more')
    """
    named = ", ".join(things[:most])
    more = len(things) - most
    return f"{named} and {more} more" if more > 0 else named
