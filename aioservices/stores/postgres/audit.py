"""The audit of a PostgreSQL store: are all lines there, and each once."""

from __future__ import annotations

from typing import Any, NamedTuple

from aioservices.stores.models import ServiceAudit, StoreAudit
from aioservices.stores.problems import duplicate_lines, duplicate_numbers, wrong_count

from .session import Connection, Session
from .values import MICROS, time_of

__all__ = ["audit"]


class _Counts(NamedTuple):
    """What the database counts of one service."""

    service_id: int
    service_name: str | None
    lines: int
    removed: int
    seq: int
    first_at: int | None
    last_at: int | None
    kept_at: Any
    gaps: int
    highest: int
    distinct: int


async def audit(session: Session, *, thorough: bool) -> StoreAudit:
    """Count the stored lines of each service; see `Store.audit`."""
    async with session.transaction() as connection:
        counts = await _count(connection, thorough=thorough)
        repeated = await _count_repeated(connection) if thorough else {}
        size = await (
            await connection.execute(
                """SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
                   WHERE relnamespace = to_regnamespace('aioservices') AND relkind IN ('r', 'm')"""
            )
        ).fetchone()
    services = tuple(_audit_of(each, repeated.get(each.service_id, 0)) for each in counts)
    return StoreAudit(services=services, bytes=0 if size is None else size[0])


async def _count(connection: Connection, *, thorough: bool) -> list[_Counts]:
    numbers = "count(DISTINCT seq)" if thorough else "count(*)"
    rows = await connection.execute(
        f"""SELECT service_id, service_name, coalesce(lines, 0), coalesce(gone, 0), tail.seq,
                   {MICROS.format("first_at")}, {MICROS.format("last_at")}, kept_at,
                   coalesce(gaps, 0), coalesce(highest, 0), coalesce(numbers, 0)
            FROM tail
            LEFT JOIN (SELECT service_id, count(*) AS lines, min(created_at) AS first_at,
                              max(created_at) AS last_at, max(seq) AS highest,
                              {numbers} AS numbers
                       FROM line GROUP BY service_id) AS counted USING (service_id)
            LEFT JOIN (SELECT service_id, sum(lines)::bigint AS gone FROM removed
                       GROUP BY service_id) AS removed USING (service_id)
            LEFT JOIN (SELECT service_id, count(*) AS gaps FROM gap
                       GROUP BY service_id) AS gaps USING (service_id)
            ORDER BY service_id"""
    )
    return [_Counts._make(each) for each in await rows.fetchall()]


async def _count_repeated(connection: Connection) -> dict[int, int]:
    """Count the lines that are stored more than once, by service."""
    rows = await connection.execute(
        """SELECT service_id, sum(copies - 1)::bigint FROM (
               SELECT service_id, count(*) AS copies FROM line
               GROUP BY service_id, deployment_id, created_at, stream, source, copy,
                        md5(message), raw
               HAVING count(*) > 1) AS repeated
           GROUP BY service_id"""
    )
    return dict(await rows.fetchall())


def _audit_of(counts: _Counts, repeated: int) -> ServiceAudit:
    problems: list[str] = []
    if counts.lines + counts.removed != counts.seq or counts.highest > counts.seq:
        problems.append(wrong_count(counts.lines, counts.removed, counts.seq))
    if counts.distinct != counts.lines:
        problems.append(duplicate_numbers(counts.lines - counts.distinct))
    if repeated:
        problems.append(duplicate_lines(repeated))
    return ServiceAudit(
        service_id=counts.service_id,
        service_name=counts.service_name,
        lines=counts.lines,
        removed=counts.removed,
        seq=counts.seq,
        first_at=time_of(counts.first_at),
        last_at=time_of(counts.last_at),
        kept_at=counts.kept_at,
        gaps=counts.gaps,
        problems=tuple(problems),
    )
