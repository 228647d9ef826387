"""Find the services that the arguments of a command name."""

from __future__ import annotations

import codecs
import contextlib
import sys
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import anyio

from aioservices.api import matching
from aioservices.api.matching import ids_among, is_id
from aioservices.api.models import Service, ServiceSummary
from aioservices.client import Services
from aioservices.errors import NotFoundError, RequestError
from aioservices.terminal.sanitize import one_line

from .errors import USAGE_ERROR, CommandError
from .matching import select, terms_from_lines

__all__ = [
    "Target",
    "decoded",
    "find",
    "find_one",
    "is_archived",
    "only",
    "with_standard_input",
]

Target: TypeAlias = Service | ServiceSummary

_ENOUGH = 200  # archived services that are looked at for a name
_FEW = 10  # so many are fetched one by one, rather than by reading the listing


async def find(services: Services, terms: Sequence[str], *, archived: bool = False) -> list[Target]:
    """Find services by ids, names and patterns.

    Parameters
    ----------
    services : Services
    terms : sequence of str
    archived : bool
        Whether names and patterns are those of archived services.

    Returns
    -------
    list of Service or ServiceSummary
        Each once, in the order of the terms.

    Raises
    ------
    CommandError
        If a term matches no service, or a name several.
    """
    found: dict[int, Target] = {}
    if len(terms) > _FEW or not all(map(is_id, terms)):
        listed = services.list(archived="true" if archived else None, order="name", order_dir="asc")
        async for summary in listed:
            found[summary.id] = summary
    # The listing leaves out hidden and archived ones, but an id is unambiguous.
    found.update(await _get_all(services, [key for key in ids_among(terms) if key not in found]))
    names = {key: target.name for key, target in found.items()}
    elsewhere: dict[int, str | None] = {}
    if not archived and not all(map(is_id, matching.select(terms, names).unmatched)):
        elsewhere = await _archived(services)
    meant = select(terms, names, archived=archived, elsewhere=elsewhere)
    return [found[key] for key in meant]


async def find_one(services: Services, term: str) -> Target:
    """Find the one service that a term matches.

    Raises
    ------
    CommandError
        If it matches none, or several.
    """
    found = await find(services, [term])
    only(found, term)
    return found[0]


def is_archived(target: Target) -> bool:
    """Whether a service is archived, which the API says with a boolean or a string."""
    return target.archived in {True, "true"}


def only(found: Sequence[Target], term: str) -> None:
    """Refuse several services where one is needed.

    Raises
    ------
    CommandError
        If there are several.
    """
    if len(found) > 1:
        names = ", ".join(f"{one_line(each.name or '') or '-'} ({each.id})" for each in found[:5])
        more = " and others" if len(found) > 5 else ""
        raise CommandError(
            f"{len(found)} services have a name that matches {term!r}: {names}{more}; name one",
            status=USAGE_ERROR,
        )


def with_standard_input(terms: Sequence[str]) -> list[str]:
    """Return the terms, with those on standard input in place of each ``-``.

    Raises
    ------
    CommandError
        If standard input is not text, or there are no terms in the end.
    """
    if "-" not in terms:
        return list(terms)
    try:
        read = terms_from_lines(decoded(sys.stdin.buffer.read()).splitlines())
    except UnicodeDecodeError:
        raise CommandError("standard input is not text", status=USAGE_ERROR) from None
    given = [each for term in terms for each in (read if term == "-" else [term])]
    if not given:
        raise CommandError("standard input names no service", status=USAGE_ERROR)
    return given


def decoded(data: bytes) -> str:
    """Decode text in UTF-8, or in the encoding of its byte order mark, as in files of Windows.

    Raises
    ------
    UnicodeDecodeError
        If it is not text.
    """
    encoding = "utf-8-sig"
    # The mark of UTF-32 starts with that of UTF-16, so it is checked first.
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        encoding = "utf-32"
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    text = data.decode(encoding)
    if "\0" in text:
        # UTF-16 without its mark, or not text at all: no service name contains a null.
        raise UnicodeDecodeError(encoding, data, 0, len(data), "it holds null characters")
    return text


async def _archived(services: Services) -> dict[int, str | None]:
    """Return the names of the archived services that were changed last; none if that fails."""
    found: dict[int, str | None] = {}
    with contextlib.suppress(RequestError):  # they only make a message more helpful
        async for each in services.list(archived="true", order="updated_at", order_dir="desc"):
            found[each.id] = each.name
            if len(found) == _ENOUGH:
                break
    return found


async def _get_all(services: Services, ids: Iterable[int]) -> dict[int, Service]:
    """Get those of some services that exist."""
    found: dict[int, Service] = {}
    errors: list[RequestError] = []

    async def get(id: int) -> None:
        try:
            found[id] = await services.get(id)
        except NotFoundError:
            pass  # all unknown ones are reported together
        except RequestError as exc:
            errors.append(exc)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for each in ids:
            group.start_soon(get, each)
    if errors:
        raise errors[0]
    return found
