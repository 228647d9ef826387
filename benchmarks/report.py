"""The results of a benchmark, as a table for people or as built-ins for machines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """The figures of one contender or one situation, by the heading of their column."""

    name: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Goal:
    """A claim, with the measured value and the bound that it should be within.

    Attributes
    ----------
    claim
        What was measured, and against what: "one get after the other, against ...".
    value
        The measured value; a ratio, if it is measured against something.
    at_least, at_most
        The bound: exactly one of them is given.
    """

    claim: str
    value: float
    at_least: float = float("-inf")
    at_most: float = float("inf")

    @property
    def reached(self) -> bool:
        """Whether the value is within the bounds."""
        return self.at_least <= self.value <= self.at_most

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.at_least > float("-inf"):
            return f"at least {_cell(self.at_least)}"
        return f"at most {_cell(self.at_most)}"


@dataclass(frozen=True)
class Report:
    """The result of one benchmark."""

    title: str
    rows: Sequence[Row]
    goals: Sequence[Goal] = field(default_factory=tuple)

    def to_builtins(self) -> dict[str, object]:
        """Convert the report to built-ins for JSON."""
        return {
            "title": self.title,
            "rows": [{"name": row.name, **row.figures} for row in self.rows],
            "goals": [
                {
                    "claim": goal.claim,
                    "value": goal.value,
                    "bound": goal.bound,
                    "reached": goal.reached,
                }
                for goal in self.goals
            ],
        }


def render(report: Report) -> str:
    """Return the figures of a report as a table."""
    headings = list(dict.fromkeys(heading for row in report.rows for heading in row.figures))
    lines = [["", *headings]]
    for row in report.rows:
        lines.append([row.name, *(_cell(row.figures.get(heading)) for heading in headings)])
    return f"{report.title}\n\n{_table(lines)}\n"


def summarize(goals: Iterable[Goal]) -> str:
    """Return claims, values and bounds as one table."""
    lines = [["", "found", "bound", ""]]
    lines += [
        [each.claim, _cell(each.value), each.bound, "" if each.reached else "MISSED"]
        for each in goals
    ]
    return _table(lines)


def _table(lines: Sequence[Sequence[str]]) -> str:
    """Align columns: the first one, of names, to the left, and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]).rstrip()
        for name, *cells in lines
    )


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
