"""Which services the terms of a command match, each checked; pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping

from aioservices.api import matching
from aioservices.terminal.sanitize import one_line

from .errors import USAGE_ERROR, CommandError

__all__ = ["select", "terms_from_lines"]

_SUGGESTED = 3


def select(
    terms: Iterable[str],
    names: Mapping[int, str | None],
    *,
    archived: bool = False,
    elsewhere: Mapping[int, str | None] | None = None,
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
    elsewhere : mapping of int to str, optional
        Names of archived services, for the message.

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
        hints = [_hint(term, names, elsewhere or {}) for term in selection.unmatched]
        unknown = "; ".join(
            _unknown(term) + hint for term, hint in zip(selection.unmatched, hints, strict=True)
        )
        if any(hints):
            raise CommandError(unknown)
        if archived:
            raise CommandError(f"{unknown}: see aioservices list --archived")
        advice = (
            "see aioservices list, or list --archived and list --hidden "
            "for archived and hidden services"
        )
        raise CommandError(f"{unknown}: {advice}")
    for term, ids in selection.ambiguous.items():
        raise CommandError(
            f"{len(ids)} services are called {term!r}: say which by its id "
            f"({', '.join(map(str, ids))})",
            status=USAGE_ERROR,
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


def _hint(term: str, names: Mapping[int, str | None], elsewhere: Mapping[int, str | None]) -> str:
    """Return what may have been meant; empty if nothing is similar."""
    if matching.is_id(term):
        return ""
    ids = matching.select([term], elsewhere).ids
    if len(ids) == 1:
        return f", but an archived one {_verb(term)}: its id is {ids[0]}"
    if ids:
        return f", but {len(ids)} archived ones {_verb(term, 2)}: see aioservices list --archived"
    known = {name.casefold(): name for name in names.values() if name}
    wanted = term.casefold().strip("*?")
    found = [folded for folded in known if len(wanted) > 1 and wanted in folded]
    found += difflib.get_close_matches(wanted, [each for each in known if each not in found])
    meant = [repr(one_line(known[folded])) for folded in found[:_SUGGESTED]]
    if not meant:
        return ""
    *others, last = meant
    return f": did you mean {', '.join(others)}{' or ' if others else ''}{last}?"


def _verb(term: str, number: int = 1) -> str:
    """Return the verb of `_unknown` for so many services."""
    singular, plural = ("has", "have") if matching.is_pattern(term) else ("is", "are")
    return singular if number == 1 else plural


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
            status=USAGE_ERROR,
        )
    return term
