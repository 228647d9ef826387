"""Why a deployment failed, with the last lines of its log."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import anyio

from aioservices.api.models import DeploymentSummary, LogEntry
from aioservices.errors import DeploymentFailedError, ServicesError, single_line

from .session import Session

__all__ = ["as_services_error", "failure_of", "last_lines"]

log = logging.getLogger(__name__)

_LINES = 20
_SHORT = 100  # lines of a page that no server would cut
_LOOK_BACK = timedelta(seconds=60)
_LATE = 1.0  # the last lines may become visible a little after the end
_TIMEOUT = 15.0
_UNDATED = datetime.min.replace(tzinfo=UTC)


def as_services_error(error: Exception) -> ServicesError:
    """Make any exception in the work on one service that service's own error.

    An unexpected error must not end the work on the others.
    """
    if isinstance(error, ServicesError):
        return error
    contained = ServicesError(f"unexpected {type(error).__name__}: {single_line(str(error))}")
    contained.__cause__ = error
    return contained


async def failure_of(
    session: Session, service_id: int, deployment: DeploymentSummary, message: str | None = None
) -> DeploymentFailedError:
    """Make the error of a deployment that will not run.

    Parameters
    ----------
    session : Session
        Fetches its log. If that cannot be read, the error has no lines.
    service_id : int
        Its service.
    deployment : DeploymentSummary
        As it was seen last.
    message : str, optional
        Why it failed. Default: its state message.
    """
    lines: deque[str] = deque(maxlen=_LINES)
    try:
        with anyio.move_on_after(_TIMEOUT):
            await _read_end(session, service_id, deployment, lines)
    except Exception as exc:  # no error here may hide why the deployment failed
        log.info("no log of deployment %d: %s", deployment.deployment_id, exc)
    return DeploymentFailedError(
        service_id=service_id,
        deployment_id=deployment.deployment_id,
        state=deployment.state,
        state_message=message or deployment.state_message,
        logs=tuple(lines),
    )


def last_lines(entries: Sequence[LogEntry], count: int = _LINES) -> list[str]:
    """Pick the last lines of a page, whatever its order.

    Parameters
    ----------
    entries : sequence of LogEntry
    count : int, default 20
        The most lines to return.

    Returns
    -------
    list of str
        The oldest first.
    """
    ordered = sorted(entries, key=lambda entry: entry.created_at or _UNDATED)
    return [entry.message or "" for entry in ordered[-count:]]


async def _read_end(
    session: Session, service_id: int, deployment: DeploymentSummary, lines: deque[str]
) -> None:
    number = deployment.deployment_id
    # Which end of a long log a page shows is not documented: ask for its end alone, first.
    end = deployment.updated_at or deployment.created_at
    near_end = end and end - _LOOK_BACK
    entries = await session.list_deployments_logs(service_id, number, start_at=near_end)
    if not entries:
        await anyio.sleep(_LATE)
        near_end = None
        entries = await session.list_deployments_logs(service_id, number)
    lines.extend(last_lines(entries))
    if len(entries) > _SHORT:
        async with session.tail_logs(service_id, number, start_at=near_end, follow=False) as tail:
            last: deque[str] = deque(maxlen=_LINES)
            async for batch in tail.batches():
                last.extend(entry.message or "" for entry in batch)
        lines.extend(last)
