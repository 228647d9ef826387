"""Which lines of a log are shown, and how; pure."""

from __future__ import annotations

import json
import re
import string
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import set_cell_size

from aioservices.api.models import TailedEntry, to_dict
from aioservices.terminal.sanitize import one_line, printable
from aioservices.terminal.times import format_instant

from .labels import Labels

__all__ = ["FIELDS", "Colours", "Filter", "Format", "checked_template", "colour_of"]

FIELDS = ("time", "name", "service_id", "deployment_id", "stream", "source", "message")

_PALETTE = (36, 32, 35, 33, 34, 96, 92, 95, 93, 94)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which lines are shown.

    Attributes
    ----------
    stream : str or None
        Only ``stdout``, or only ``stderr``.
    grep : sequence of Pattern
        One of them must be found in a line, if there are any.
    exclude : sequence of Pattern
        None of them may.
    """

    stream: str | None = None
    grep: Sequence[re.Pattern[str]] = ()
    exclude: Sequence[re.Pattern[str]] = ()

    def passes(self, entry: TailedEntry) -> bool:
        """Return whether a line is shown."""
        message = entry.message or ""
        return (
            (self.stream is None or entry.stream == self.stream)
            and (not self.grep or any(pattern.search(message) for pattern in self.grep))
            and not any(pattern.search(message) for pattern in self.exclude)
        )


class Format:
    """How lines are shown.

    Parameters
    ----------
    as_json : bool
        Whether to write one JSON object per line; overrides the others.
    template : str, optional
        With the `FIELDS` in braces.
    timestamps : bool
        Whether to start with the time.
    coloured : bool
        Whether to use colours.
    labels : Labels, optional
        What precedes each line for its service. Default: nothing.
    aligned : bool
        Whether lines start in the same column whatever their labels.

    Attributes
    ----------
    as_json : bool
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        template: str | None = None,
        timestamps: bool = False,
        coloured: bool = False,
        labels: Labels | None = None,
        aligned: bool = False,
    ) -> None:
        self.as_json = as_json
        self._template = template
        self._timestamps = timestamps
        self._coloured = coloured
        self._labels = labels
        self._colours = Colours()
        self._aligned = aligned

    def expect(self, services: Mapping[int, str | None]) -> None:
        """Learn the names of services before their first lines."""
        if self._labels is not None:
            self._labels.expect(services)
        # In the same order each time, so that the same services have the same colours.
        for service_id, name in sorted(services.items()):
            self._colours.of(service_id, _shown_name(service_id, name))

    def __call__(self, entry: TailedEntry, name: str | None = None) -> str:
        """Return the text of a line, with its line feed.

        Parameters
        ----------
        entry : TailedEntry
        name : str, optional
            The name of its service.
        """
        if self.as_json:
            shown = to_dict(entry)
            if self._labels is not None:
                shown["service_name"] = name
            return json.dumps(shown) + "\n"
        shown_name = _shown_name(entry.service_id, name)
        message = printable(entry.message or "")
        if self._template is not None:
            return self._filled(self._template, entry, shown_name, message) + "\n"
        head = f"{_time(entry)} " if self._timestamps else ""
        head = self._painted(head, 2)
        if self._labels is not None:
            label = self._labels.label(entry.service_id, name)
            if self._aligned:  # some characters take two cells of a terminal, and some none
                label = set_cell_size(label, self._labels.width)
            colour = self._colours.of(entry.service_id, shown_name)
            head += self._painted(f"{label} | ", colour)
        style = 31 if entry.stream == "stderr" else 2 if entry.source == "system" else None
        return "".join(f"{head}{self._painted(line, style)}\n" for line in message.split("\n"))

    def _painted(self, text: str, code: int | None) -> str:
        if not self._coloured or code is None or not text:
            return text
        return f"\x1b[{code}m{text}\x1b[0m"

    def _filled(self, template: str, entry: TailedEntry, name: str, message: str) -> str:
        return template.format(
            time=_time(entry),
            name=name,
            service_id=entry.service_id,
            deployment_id=entry.deployment_id,
            stream=one_line(entry.stream or ""),
            source=one_line(entry.source or ""),
            message=message,
        )


def checked_template(template: str) -> str:
    r"""Refuse a template that cannot be filled in.

    ``\t`` and ``\n`` in it are a tab and a line feed.

    Raises
    ------
    ValueError
        If it names an unknown field, or its braces do not match.
    """
    template = template.replace(r"\t", "\t").replace(r"\n", "\n")
    for _, field, spec, conversion in string.Formatter().parse(template):
        if field is not None and (field not in FIELDS or conversion or "{" in (spec or "")):
            raise ValueError(f"{{{field}}} is not a field; fields are {', '.join(FIELDS)}")
        if re.search(r"\d{4}", spec or ""):
            raise ValueError(f"{{{field}:{spec}}} is wider than any terminal")
    template.format(**dict.fromkeys(FIELDS, ""))
    return template


def colour_of(name: str) -> int:
    """Return the colour that a name has by default, as the number of an ANSI code."""
    return _PALETTE[zlib.crc32(name.encode("utf-8", "surrogatepass")) % len(_PALETTE)]


def _shown_name(service_id: int, name: str | None) -> str:
    return one_line(name or "") or f"service {service_id}"


class Colours:
    """A colour for each service: that of its name, or another that is still free."""

    def __init__(self) -> None:
        self._given: dict[int, int] = {}

    def of(self, service_id: int, name: str) -> int:
        """Return the colour of a service, which stays the same, as the number of an ANSI code."""
        if service_id not in self._given:
            wanted = colour_of(name)
            start = _PALETTE.index(wanted)
            taken = set(self._given.values())
            others = (*_PALETTE[start:], *_PALETTE[:start])
            free = (each for each in others if each not in taken)
            self._given[service_id] = next(free, wanted)
        return self._given[service_id]


def _time(entry: TailedEntry) -> str:
    return format_instant(entry.created_at)
