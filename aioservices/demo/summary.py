"""What the demo did, in words; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import fleet
from .tally import Difference

__all__ = ["NEXT_STEPS", "ServiceReport", "find_shortcomings", "summarize"]

NEXT_STEPS = (
    ("aioservices emulator", "the API on this machine, with a page that shows its state"),
    ("aioservices list", "your services: the key comes from CIVIS_API_KEY"),
    ("aioservices logs SERVICE --follow", "the lines of one service, as they are written"),
    ("aioservices deploy 'web-*'", "deploy many services at once, and see which of them run"),
    ("aioservices --help", "everything else"),
)
"""Commands, each with its purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReport:
    """What happened to one service.

    Attributes
    ----------
    name : str
    lines : int
        How many of its lines arrived.
    deployments : int
        How often it was deployed, as the platform counted.
    state, message : str or None
        The state of its current deployment, or how it ended.
    complaint : str or None
        The last line that it wrote to standard error.
    """

    name: str
    lines: int
    deployments: int
    state: str | None
    message: str | None
    complaint: str | None

    def outcome(self) -> str:
        """Describe its state."""
        if not self.deployments:
            return "not deployed"
        words = {"failed": "crashed", "terminated": "finished"}.get(self.state or "", self.state)
        again = ", deployed again meanwhile" if self.deployments > 1 else ""
        return f"{words}{again}" if self.message is None else f"{words}: {self.message}"


def summarize(
    reports: Sequence[ServiceReport],
    *,
    difference: Difference,
    visits: int,
    outages: int,
    requests: int,
    seconds: float,
) -> list[str]:
    """Summarize the demo.

    Parameters
    ----------
    reports : sequence of ServiceReport
    difference : Difference
        Between the lines that were written and those that arrived.
    visits : int
        Visits to the shop.
    outages : int
        Outages of the API that the client noticed.
    requests : int
        Requests to the API.
    seconds : float
        Duration of the demo.

    Returns
    -------
    list of str
        Lines.
    """
    width = max(len(report.name) for report in reports)
    lines = sum(report.lines for report in reports)
    deployments = sum(report.deployments for report in reports)
    arrival = "each of them arrived, once"
    if any(difference):
        arrival = f"{difference.missing} of them are missing, {difference.repeated} arrived twice"
    table: list[str] = []
    for report in reports:
        head = f"  {report.name:<{width}}  {report.lines:>3} lines  "
        table.append(head + report.outcome())
        if report.state == "failed" and report.complaint:
            table.append(" " * len(head) + report.complaint)
    return [
        *table,
        "",
        f"{len(reports)} services, {deployments} deployments, {visits} visits to the shop.",
        f"1 lost answer and {outages} {'outage' if outages == 1 else 'outages'} of the API.",
        f"{lines} lines of log: {arrival}.",
        f"{requests} requests to the API in {seconds:.1f} s. All programs are stopped again.",
    ]


def find_shortcomings(
    reports: Sequence[ServiceReport],
    *,
    difference: Difference,
    visits: int,
    visit_lines: int,
    outages: int,
) -> list[str]:
    """Name what should have happened and did not.

    Parameters
    ----------
    reports, difference, visits, outages
        As for `summarize`.
    visit_lines : int
        Lines that the shop wrote about visits.

    Returns
    -------
    list of str
        Empty if everything happened.
    """
    expected = {fleet.BATCH_JOB: "terminated", fleet.CRASHING: "failed"}
    found: list[str] = []
    for report in reports:
        wanted = 2 if report.name == fleet.SHOP else 1
        if report.state != expected.get(report.name, "running"):
            found.append(f"{report.name} is {report.state}")
        if report.deployments != wanted:
            found.append(f"{report.name} was deployed {report.deployments} times, not {wanted}")
        if not report.lines:
            found.append(f"{report.name} wrote nothing")
    if any(difference):
        found.append("lines of log were lost or repeated")
    if not visits:
        found.append("no visit to the shop was answered")
    if visit_lines != visits:
        found.append(f"the shop wrote {visit_lines} lines about {visits} visits")
    if not outages:
        found.append("the outage was not noticed")
    return found
