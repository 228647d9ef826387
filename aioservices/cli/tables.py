"""Tables: as wide as the terminal, whole in a pipe, or as CSV."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Generic, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from aioservices.api.models import DeploymentSummary
from aioservices.terminal.output import stdout
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import format_duration

from .console import encodable, rendered, state_style
from .labels import shortened_apart

__all__ = [
    "Column",
    "age",
    "aligned",
    "fitted",
    "joined",
    "named_columns",
    "state_of",
    "table",
    "to_csv",
]

RowT = TypeVar("RowT")

_GAP = 2  # between two columns
_MIN_WIDTH = 4  # the least cells of a column that is shortened


@dataclass(frozen=True)
class Column(Generic[RowT]):
    """A column of a table.

    Attributes
    ----------
    name : str
    value : callable
        Returns the content for a row, and a time to which ages refer; None for nothing.
    least : int
        The least width of the terminal at which it is shown.
    ratio : int or None
        Its share of the remaining width if not everything fits; None: it is never shortened.
    prose : bool
        Whether it is shortened at its end; names and addresses are shortened in the middle.
    right : bool
        Whether it is aligned to the right.
    wraps : bool
        Whether it is wrapped into several lines rather than shortened.
    """

    name: str
    value: Callable[[RowT, dt.datetime], object]
    least: int = 0
    ratio: int | None = None
    prose: bool = False
    right: bool = False
    wraps: bool = False

    def text(self, row: RowT, now: dt.datetime) -> str:
        """Return the content for a row, in one line."""
        value = self.value(row, now)
        return one_line("" if value is None else str(value)) or "-"


def named_columns(
    columns: Sequence[Column[RowT]], names: str | None
) -> tuple[Sequence[Column[RowT]], bool]:
    """Choose columns by their names, separated by commas.

    Returns
    -------
    tuple of sequence of Column and bool
        Whether they were chosen: chosen columns are shown however narrow the terminal is.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    if names is None:
        return columns, False
    known = {column.name: column for column in columns}
    chosen = [name.strip().lower() for name in names.split(",")]
    for name in chosen:
        if name not in known:
            raise ValueError(f"{name!r} is not a column; columns are {', '.join(known)}")
    return [known[name] for name in chosen], True


def table(
    columns: Sequence[Column[RowT]],
    rows: Sequence[RowT],
    *,
    now: dt.datetime,
    complete: bool = False,
) -> str:
    """Format a table: as wide as the terminal, or in full without one.

    Parameters
    ----------
    columns : sequence of Column
    rows : sequence
    now : datetime
        To which ages refer.
    complete : bool
        Whether a narrow terminal shows all columns, too.
    """
    out = stdout()
    if out.is_terminal and not complete:
        columns = [column for column in columns if out.columns >= column.least]
    heads = [column.name.upper() for column in columns]
    cells = [[column.text(row, now) for column in columns] for row in rows]
    widths = [max(map(cell_len, texts)) for texts in zip(heads, *cells, strict=True)]
    if out.is_terminal:
        fitting = fitted(widths, [column.ratio for column in columns], out.columns)
        for place, column in enumerate(columns):
            if fitting[place] < widths[place] and not column.wraps:
                _shorten(cells, place, column, fitting[place])
        widths = fitting
    right = [column.right for column in columns]
    lines = [Text(_line(heads, widths, right), style="bold")]
    for row in cells:
        wrapped = [_by_width(cell, width) for cell, width in zip(row, widths, strict=True)]
        first, *more = [
            _line(parts, widths, right) for parts in zip_longest(*wrapped, fillvalue="")
        ]
        lines.append(Text(first))
        start = 0
        for column, cell, width in zip(columns, row, widths, strict=True):
            if column.name == "state":
                lines[-1].stylize(state_style(cell), start, start + len(cell))
            start += width - cell_len(cell) + len(cell) + _GAP
        lines.extend(map(Text, more))
    return rendered(Text("\n").join(lines))


def fitted(widths: Sequence[int], ratios: Sequence[int | None], width: int) -> list[int]:
    """Make columns narrow enough for all of them to fit.

    Parameters
    ----------
    widths : sequence of int
        The cells that they need.
    ratios : sequence of int or None
        Shares of those that are shortened. If that does not suffice, all columns are shortened.
    width : int
        The total width, including the gaps.

    Returns
    -------
    list of int
        No column is wider than it needs, and no width is left over while one is narrower.

    Examples
    --------
    >>> fitted([4, 40, 10, 30], [None, 1, None, 2], 60)
    [4, 13, 10, 27]
    """
    found = list(widths)
    space = width - _GAP * (len(widths) - 1)
    giving = {place: ratio for place, ratio in enumerate(ratios) if ratio is not None}
    fixed = sum(need for place, need in enumerate(widths) if place not in giving)
    if space < fixed + _MIN_WIDTH * len(giving):
        giving = dict.fromkeys(range(len(widths)), 1)
    left = space - sum(need for place, need in enumerate(widths) if place not in giving)
    while giving:
        shares = sum(giving.values())
        content = [at for at, ratio in giving.items() if widths[at] * shares <= left * ratio]
        if not content:
            break
        for place in content:  # the others get what these do not need
            left -= widths[place]
            del giving[place]
    for place, ratio in list(giving.items()):
        found[place] = max(1, left * ratio // sum(giving.values()))
        left -= found[place]
        del giving[place]
    return found


def _shorten(cells: Sequence[list[str]], place: int, column: Column[RowT], width: int) -> None:
    ellipsis = encodable("…")
    texts = [row[place] for row in cells]
    if not column.prose:
        shown = shortened_apart(texts, width, ellipsis)
    else:
        shown = [
            text if cell_len(text) <= width else _padded(text, width - 1).rstrip() + ellipsis
            for text in texts
        ]
    for row, text in zip(cells, shown, strict=True):
        row[place] = text


def _by_width(text: str, width: int) -> list[str]:
    """Wrap a cell, between words where that is possible."""
    if cell_len(text) <= width:
        return [text]
    return [line.plain.rstrip() for line in Text(text).wrap(Console(width=width), width)]


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    gap = " " * _GAP
    parts = zip(cells, widths, right, strict=True)
    return gap.join(_padded(cell, width, right=right) for cell, width, right in parts).rstrip()


def _padded(text: str, width: int, *, right: bool = False) -> str:
    """Pad a string to a width, in the cells of a terminal."""
    if right:
        return " " * (width - cell_len(text)) + text
    return set_cell_size(text, width)


def to_csv(columns: Sequence[Column[RowT]], rows: Sequence[RowT], *, now: dt.datetime) -> str:
    """Format a table as CSV, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    for row in rows:
        values = [column.value(row, now) for column in columns]
        writer.writerow(["" if value is None else one_line(str(value)) for value in values])
    return text.getvalue()


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Align the cells of rows."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    left = [False] * len(widths)
    return "".join(f"{_line(row, widths, left)}\n" for row in rows)


def age(instant: dt.datetime | None, now: dt.datetime) -> str | None:
    """Format how long ago something was."""
    return format_duration((now - instant).total_seconds()) if instant else None


def joined(separator: str, *parts: object) -> str | None:
    """Join the strings that are not None; None if all are."""
    return separator.join(str(part) for part in parts if part is not None) or None


def state_of(deployment: DeploymentSummary | None, _: dt.datetime | None = None) -> str:
    """Return the state of a deployment, if there is one."""
    if deployment is None:
        return "not deployed"
    return deployment.state or "unknown"
