"""Which services are meant by ids, names and patterns; pure."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping

from .errors import MISUSED, CommandError

__all__ = ["ids_among", "is_id", "is_pattern", "matches", "select", "terms_from_lines"]


def is_id(term: str) -> bool:
    """Tell whether a term is an id; anything else is a name or a pattern."""
    return term.isascii() and term.isdecimal()


def ids_among(terms: Iterable[str]) -> list[int]:
    """Give the ids among some terms, each once."""
    return list(dict.fromkeys(int(term) for term in terms if is_id(term)))


def is_pattern(term: str) -> bool:
    """Tell whether a term may mean several services."""
    return any(character in term for character in "*?[")


def matches(name: str | None, pattern: str) -> bool:
    """Tell whether a service's name is a name, or fits a pattern, without regard to case."""
    name, pattern = (name or "").casefold(), pattern.casefold()
    return name == pattern or fnmatch.fnmatchcase(name, pattern)


def select(terms: Iterable[str], names: Mapping[int, str | None]) -> list[int]:
    """Find the services that are meant.

    Parameters
    ----------
    terms : iterable of str
        An id, a name, or a pattern with ``*``, ``?`` or ``[...]``.
    names : mapping of int to str
        The services there are, with their names.

    Returns
    -------
    list of int
        Their ids, each once, in the order of the terms.

    Raises
    ------
    CommandError
        If a term means no service, or a name means several.
    """
    found: dict[int, None] = {}
    for term in terms:
        meant = _meant(term, names)
        if not meant:
            raise CommandError(_unknown(term))
        if len(meant) > 1 and not is_pattern(term):
            raise CommandError(
                f"{len(meant)} services are called {term!r}: say which by its id "
                f"({', '.join(map(str, meant))})",
                status=MISUSED,
            )
        found.update(dict.fromkeys(meant))
    return list(found)


def terms_from_lines(lines: Iterable[str]) -> list[str]:
    """Read terms from lines: one a line, or a JSON object with an ``id`` or ``service_id``.

    Empty lines, and those that begin with ``#``, are left out.

    Raises
    ------
    CommandError
        If a line begins like JSON, and is no such object.
    """
    stripped = (line.strip() for line in lines)
    return [
        _id_in_json(line) if line.startswith("{") else line
        for line in stripped
        if line and not line.startswith("#")
    ]


def _meant(term: str, names: Mapping[int, str | None]) -> list[int]:
    if is_id(term):
        return [int(term)] if int(term) in names else []
    # Names that differ in nothing but case can still be told apart.
    exactly = [number for number, name in names.items() if name == term]
    return exactly or [number for number, name in names.items() if matches(name, term)]


def _unknown(term: str) -> str:
    hint = "aioservices list shows what there is"
    if is_id(term):
        return f"there is no service {term}, or the API key may not see it: {hint}"
    if is_pattern(term):
        return f"no service has a name that fits {term!r}: {hint}"
    return f"no service is called {term!r}: {hint}"


def _id_in_json(line: str) -> str:
    try:
        value = json.loads(line)
        found = value["id"] if "id" in value else value["service_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    # True and 1.5 are numbers to Python, and no ids: what is deployed must be what was meant.
    term = "" if isinstance(found, bool) or not isinstance(found, int | str) else str(found)
    if not is_id(term):
        raise CommandError(
            f"standard input: no service id in {line[:60]!r}: write one id, name or pattern a line",
            status=MISUSED,
        )
    return term
