"""What the demo did, in words; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aioservices.api.models import DeploymentSummary

from . import fleet
from .tally import Difference

__all__ = ["Account", "summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of one service.

    Attributes
    ----------
    name : str
    lines : int
        How many of its lines arrived.
    deployments : int
        How often it was deployed.
    current : DeploymentSummary or None
        Its current deployment, as it was seen last.
    complaint : str or None
        The last line that it wrote to its standard error.
    """

    name: str
    lines: int
    deployments: int
    current: DeploymentSummary | None
    complaint: str | None

    def verdict(self) -> str:
        """Say how it is."""
        match self.current:
            case DeploymentSummary(state="failed", state_message=message):
                return f"crashed: {message}"
            case DeploymentSummary(state="terminated", state_message=message):
                return f"finished: {message}"
            case _:
                again = ", deployed again on the way" if self.deployments > 1 else ""
                return f"{self.state or 'not deployed'}{again}"

    @property
    def state(self) -> str | None:
        """The state of its current deployment."""
        return self.current.state if self.current else None


def summary(
    accounts: Sequence[Account],
    *,
    difference: Difference,
    visits: int,
    requests: int,
    seconds: float,
) -> list[str]:
    """Sum up.

    Parameters
    ----------
    accounts : sequence of Account
    difference : Difference
        Between the lines that were written and those that arrived.
    visits : int
        To the shop.
    requests : int
        That were made of the API.
    seconds : float
        That it all took.

    Returns
    -------
    list of str
        Lines.
    """
    width = max(len(account.name) for account in accounts)
    lines = sum(account.lines for account in accounts)
    deployments = sum(account.deployments for account in accounts)
    verdict = "each of them arrived, once"
    if any(difference):
        verdict = f"{difference.missing} of them are missing, {difference.repeated} came twice"
    table: list[str] = []
    for account in accounts:
        head = f"  {account.name:<{width}}  {account.lines:>3} lines  "
        table.append(head + account.verdict())
        if account.state == "failed" and account.complaint:
            table.append(" " * len(head) + account.complaint)
    return [
        *table,
        "",
        f"{len(accounts)} services, {deployments} deployments, {visits} visits to the shop.",
        f"{lines} lines of log: {verdict}.",
        f"{requests} requests to the API in {seconds:.1f} s. All programs are stopped again.",
    ]


def shortcomings(accounts: Sequence[Account], *, difference: Difference, visits: int) -> list[str]:
    """Name what should have happened, and did not.

    Parameters
    ----------
    accounts, difference, visits
        As for `summary`.

    Returns
    -------
    list of str
        Empty when all is well.
    """
    expected = {fleet.BATCH_JOB: "terminated", fleet.CRASHING: "failed"}
    found = [
        f"{account.name} is {account.state or 'not deployed'}"
        for account in accounts
        if account.state != expected.get(account.name, "running")
    ]
    found += [f"nothing was heard of {account.name}" for account in accounts if not account.lines]
    if any(difference):
        found.append("lines of log were lost or repeated")
    if not visits:
        found.append("no visit to the shop was answered")
    return found
