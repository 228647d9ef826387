"""Which services the terms of a command match, each checked; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from aioservices.api import matching

from .errors import MISUSED, CommandError

__all__ = ["select", "terms_from_lines"]


def select(
    terms: Iterable[str], names: Mapping[int, str | None], *, archived: bool = False
) -> list[int]:
    """Find services by terms, each of which must match at least one.

    Parameters
    ----------
    terms : iterable of str
        An id, a name, or a pattern with ``*``, ``?`` or ``[...]``.
    names : mapping of int to str
        The names of all services.
    archived : bool
        Whether these are the archived ones, for the message.

    Returns
    -------
    list of int
        Their ids, each once, in the order of the terms.

    Raises
    ------
    CommandError
        If a term matches no service, or a name several.
    """
    selection = matching.select(terms, names)
    if selection.unmatched:
        unknown = "; ".join(map(_unknown, selection.unmatched))
        if archived:
            raise CommandError(f"{unknown}: see aioservices list --archived")
        advice = "see aioservices list; --archived or --hidden lists the others"
        raise CommandError(f"{unknown}: {advice}")
    for term, ids in selection.ambiguous.items():
        raise CommandError(
            f"{len(ids)} services are called {term!r}: say which by its id "
            f"({', '.join(map(str, ids))})",
            status=MISUSED,
        )
    return list(selection.ids)


def terms_from_lines(lines: Iterable[str]) -> list[str]:
    """Read terms from lines: a term, or a JSON object with an ``id`` or ``service_id``.

    Empty lines, and those that begin with ``#``, are left out.

    Raises
    ------
    CommandError
        If a line starts like JSON but is not such an object.
    """
    stripped = (line.strip() for line in lines)
    return [
        _id_in_json(line) if line.startswith("{") else line
        for line in stripped
        if line and not line.startswith("#")
    ]


def _unknown(term: str) -> str:
    if matching.is_id(term):
        return f"there is no service {term}, or the API key may not see it"
    if matching.is_pattern(term):
        return f"no service has a name that matches {term!r}"
    return f"no service is called {term!r}"


def _id_in_json(line: str) -> str:
    try:
        value = json.loads(line)
        found = value["id"] if "id" in value else value["service_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    # True and 1.5 are numbers in Python but not ids; only what was meant may be deployed.
    term = "" if isinstance(found, bool) or not isinstance(found, int | str) else str(found)
    if not matching.is_id(term):
        raise CommandError(
            f"standard input: no service id in {line[:60]!r}: use one id, name or pattern per line",
            status=MISUSED,
        )
    return term
