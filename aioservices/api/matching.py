"""Which services ids, names and patterns match; pure.

A term is an id (at most 19 digits), a name, or a pattern with ``*``, ``?`` or ``[...]``. Case is
ignored. A name that looks like a pattern is found as a name, too: the term ``web [prod]`` matches
the service with that name.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping

import msgspec

__all__ = ["Selection", "ids_among", "is_id", "is_pattern", "matches", "select"]

_LARGEST_ID = 2**63 - 1
_MOST_DIGITS = len(str(_LARGEST_ID))


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The services that some terms match.

    Attributes
    ----------
    ids : tuple of int
        Identifiers of the services, each once, in the order of the terms.
    unmatched : tuple of str
        Terms that match no service.
    ambiguous : dict
        Names that several services have, with the ids of these.
    """

    ids: tuple[int, ...]
    unmatched: tuple[str, ...]
    ambiguous: dict[str, tuple[int, ...]]


def is_id(term: str) -> bool:
    """Return whether a term is an id; anything else is a name or a pattern.

    A number that is too large for an id can only be a name.
    """
    is_number = term.isascii() and term.isdecimal() and len(term) <= _MOST_DIGITS
    return is_number and int(term) <= _LARGEST_ID


def ids_among(terms: Iterable[str]) -> list[int]:
    """Return the ids among the terms, each once."""
    return list(dict.fromkeys(int(term) for term in terms if is_id(term)))


def is_pattern(term: str) -> bool:
    """Return whether a term may mean several services."""
    return any(character in term for character in "*?[")


def matches(name: str | None, term: str) -> bool:
    """Return whether a service's name is a name, or fits a pattern, without regard to case."""
    name, term = (name or "").casefold(), term.casefold()
    return name == term or fnmatch.fnmatchcase(name, term)


def select(terms: Iterable[str], names: Mapping[int, str | None]) -> Selection:
    """Find the services that are meant.

    Parameters
    ----------
    terms : iterable of str
        Ids, names and patterns.
    names : mapping of int to str
        The names of all services.
    """
    ids: dict[int, None] = {}
    unmatched: list[str] = []
    ambiguous: dict[str, tuple[int, ...]] = {}
    for term in terms:
        meant = _meant(term, names)
        if not meant:
            unmatched.append(term)
        elif len(meant) > 1 and not is_pattern(term):
            ambiguous[term] = tuple(meant)
        ids.update(dict.fromkeys(meant))
    return Selection(ids=tuple(ids), unmatched=tuple(unmatched), ambiguous=ambiguous)


def _meant(term: str, names: Mapping[int, str | None]) -> list[int]:
    if is_id(term):
        return [int(term)] if int(term) in names else []
    # Names that differ only in case can still be distinguished.
    exactly = [number for number, name in names.items() if name == term]
    return exactly or [number for number, name in names.items() if matches(name, term)]
