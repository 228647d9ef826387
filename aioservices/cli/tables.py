"""Tables: as wide as the terminal, whole in a pipe, or as CSV."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from aioservices.api.models import DeploymentSummary
from aioservices.terminal.output import stdout
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import in_words

from .console import rendered, state_style

__all__ = ["Column", "age", "aligned", "joined", "named_columns", "state_of", "table", "to_csv"]

RowT = TypeVar("RowT")

_GAP = 2  # between two columns


@dataclass(frozen=True)
class Column(Generic[RowT]):
    """A column of a table.

    Attributes
    ----------
    name : str
    value : callable
        Gives what stands in a row, at a time to which ages refer; None for nothing.
    least : int
        From which width of the terminal on it is shown.
    ratio : int or None
        Its share of what the others leave, where not everything fits; None: it is never cut.
    right : bool
        Whether it is aligned to the right.
    """

    name: str
    value: Callable[[RowT, dt.datetime], object]
    least: int = 0
    ratio: int | None = None
    right: bool = False

    def text(self, row: RowT, now: dt.datetime) -> str:
        """Give what stands in a row, in one line."""
        value = self.value(row, now)
        return one_line("" if value is None else str(value)) or "-"


def named_columns(
    columns: Sequence[Column[RowT]], names: str | None
) -> tuple[Sequence[Column[RowT]], bool]:
    """Choose columns by their names, with commas between them.

    Returns
    -------
    tuple of sequence of Column and bool
        Whether they were chosen: what was chosen is shown however narrow the terminal is.

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
            raise ValueError(f"{name!r} is not a column: there are {', '.join(known)}")
    return [known[name] for name in chosen], True


def table(
    columns: Sequence[Column[RowT]],
    rows: Sequence[RowT],
    *,
    now: dt.datetime,
    complete: bool = False,
) -> str:
    """Give a table: as wide as the terminal, or whole where there is none.

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
    if not out.is_terminal:
        return aligned(
            [[column.name.upper() for column in columns], *_cells(columns, rows, now=now)]
        )
    if not complete:
        columns = [column for column in columns if out.columns >= column.least]
    cells = _cells(columns, rows, now=now)
    heads = [column.name.upper() for column in columns]
    widths = [max(cell_len(row[place]) for row in [heads, *cells]) for place in range(len(heads))]
    shown = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        # Where not everything fits, the columns with a ratio share what the others leave.
        expand=sum(widths) + _GAP * (len(heads) - 1) > out.columns,
    )
    for column in columns:
        shown.add_column(
            column.name.upper(),
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if column.right else "left",
            ratio=column.ratio,
        )
    for row in cells:
        texts = [Text(cell) for cell in row]
        for column, text in zip(columns, texts, strict=True):
            if column.name == "state":
                text.stylize(state_style(text.plain))
        shown.add_row(*texts)
    return rendered(shown, width=out.columns)


def to_csv(columns: Sequence[Column[RowT]], rows: Sequence[RowT], *, now: dt.datetime) -> str:
    """Give a table as CSV, with a line of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    for row in rows:
        values = [column.value(row, now) for column in columns]
        writer.writerow(["" if value is None else one_line(str(value)) for value in values])
    return text.getvalue()


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Give rows whose cells stand below each other."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        cells = (
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        )
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def age(instant: dt.datetime | None, now: dt.datetime) -> str | None:
    """Say how long ago something was."""
    return in_words((now - instant).total_seconds()) if instant else None


def joined(separator: str, *parts: object) -> str | None:
    """Join what there is; None if there is nothing."""
    return separator.join(str(part) for part in parts if part is not None) or None


def state_of(deployment: DeploymentSummary | None, _: dt.datetime | None = None) -> str:
    """Give the state of a deployment that there may be."""
    if deployment is None:
        return "not deployed"
    return deployment.state or "unknown"


def _cells(
    columns: Sequence[Column[RowT]], rows: Sequence[RowT], *, now: dt.datetime
) -> list[list[str]]:
    return [[column.text(row, now) for column in columns] for row in rows]
