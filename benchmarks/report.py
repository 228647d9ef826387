"""What a benchmark has found, as a table for people or as built-ins for machines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """The figures of one contender or one situation, by the heading of their column."""

    name: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Verdict:
    """A claim, and the measured value that bears it out or does not: one bound is given."""

    claim: str
    value: float
    at_least: float = float("-inf")
    at_most: float = float("inf")

    @property
    def reached(self) -> bool:
        """Whether the value is within the bounds."""
        return self.at_least <= self.value <= self.at_most


@dataclass(frozen=True)
class Report:
    """The result of one benchmark."""

    title: str
    rows: Sequence[Row]
    verdicts: Sequence[Verdict] = field(default_factory=tuple)

    def to_builtins(self) -> dict[str, object]:
        """Return the report as what JSON can hold."""
        return {
            "title": self.title,
            "rows": [{"name": row.name, **row.figures} for row in self.rows],
            "verdicts": [
                {"claim": verdict.claim, "value": verdict.value, "reached": verdict.reached}
                for verdict in self.verdicts
            ],
        }


def render(report: Report) -> str:
    """Return the report as a table followed by its verdicts."""
    headings = list(dict.fromkeys(heading for row in report.rows for heading in row.figures))
    lines = [["", *headings]]
    for row in report.rows:
        lines.append([row.name, *(_cell(row.figures.get(heading)) for heading in headings)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        "  ".join([name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])])
        for name, *cells in lines
    ]
    verdicts = [
        f"{'reached' if verdict.reached else 'MISSED ':7}  {verdict.claim}: {_cell(verdict.value)}"
        for verdict in report.verdicts
    ]
    return "\n".join([report.title, "", *table, "", *verdicts]).rstrip() + "\n"


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
