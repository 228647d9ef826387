"""The positions of forwarders and their dead letters, in a PostgreSQL store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from aioservices.stores.errors import PositionMovedError
from aioservices.stores.models import ForwardPosition, RejectedLines

from .session import Connection, Session
from .values import without_nul

__all__ = ["forward_note", "forward_positions", "mark_forwarded", "rejected", "resend"]


async def forward_positions(
    session: Session, forwarder: str | None, daemon_id: UUID
) -> list[ForwardPosition]:
    """Return the positions of forwarders."""
    async with session.transaction() as connection:
        rows = await connection.execute(
            """SELECT sinks.sink, tail.service_id, coalesce(forward.seq, 0),
                      tail.seq - greatest(coalesce(forward.seq, 0), coalesce(gone.lines, 0)),
                      tail.owner IS NOT DISTINCT FROM %(daemon_id)s
                          OR tail.lease_until < clock_timestamp()
               FROM (SELECT DISTINCT sink FROM forward WHERE %(sink)s::text IS NULL
                     UNION SELECT %(sink)s WHERE %(sink)s IS NOT NULL) AS sinks
               CROSS JOIN tail
               LEFT JOIN forward
                   ON forward.sink = sinks.sink AND forward.service_id = tail.service_id
               LEFT JOIN (SELECT service_id, sum(lines)::bigint AS lines
                          FROM removed GROUP BY service_id) AS gone
                   ON gone.service_id = tail.service_id
               ORDER BY 1, 2""",
            {"sink": forwarder, "daemon_id": daemon_id},
        )
        return [
            ForwardPosition(
                forwarder=each[0],
                service_id=each[1],
                seq=each[2],
                behind=max(0, each[3]),
                is_ours=each[4],
            )
            for each in await rows.fetchall()
        ]


async def forward_note(session: Session, forwarder: str, place: str) -> str | None:
    """Return the note of a forwarder."""
    async with session.transaction() as connection:
        found = await (
            await connection.execute(
                "SELECT note FROM forward_note WHERE sink = %s AND place = %s", (forwarder, place)
            )
        ).fetchone()
        return None if found is None else found[0]


async def rejected(session: Session, forwarder: str | None) -> list[RejectedLines]:
    """List dead letters."""
    async with session.transaction() as connection:
        rows = await connection.execute(
            """SELECT sink, service_id, first_seq, last_seq, lines, reason, at FROM rejected
               WHERE %(sink)s::text IS NULL OR sink = %(sink)s ORDER BY id""",
            {"sink": forwarder},
        )
        return [
            RejectedLines(
                forwarder=each[0],
                service_id=each[1],
                first_seq=each[2],
                last_seq=each[3],
                count=each[4],
                reason=each[5],
                at=each[6],
            )
            for each in await rows.fetchall()
        ]


async def mark_forwarded(
    session: Session,
    forwarder: str,
    moves: Mapping[int, tuple[int, int]],
    rejected: Iterable[RejectedLines],
    place: str,
    note: str | None,
) -> bool:
    """Move the positions of a forwarder; see `Store.mark_forwarded`."""
    try:
        async with session.transaction() as connection:
            await _move(connection, forwarder, moves)
            for each in rejected:
                await _insert_rejected(connection, forwarder, each)
            if note is not None:
                await connection.execute(
                    """INSERT INTO forward_note VALUES (%s, %s, %s)
                       ON CONFLICT (sink, place) DO UPDATE SET note = excluded.note""",
                    (forwarder, place, note),
                )
    except PositionMovedError:
        return False
    return True


async def _move(
    connection: Connection, forwarder: str, moves: Mapping[int, tuple[int, int]]
) -> None:
    """Move positions; raises, which undoes the transaction, if one is not as expected."""
    ids = list(moves)
    await connection.execute(
        """INSERT INTO forward SELECT %s, v.id, 0 FROM unnest(%s::bigint[]) AS v (id)
           ORDER BY v.id ON CONFLICT DO NOTHING""",
        (forwarder, ids),
    )
    moved = await connection.execute(
        """UPDATE forward AS f SET seq = v.after
           FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS v (id, before, after)
           WHERE f.sink = %s AND f.service_id = v.id AND f.seq = v.before""",
        (
            ids,
            [before for before, _ in moves.values()],
            [after for _, after in moves.values()],
            forwarder,
        ),
    )
    if moved.rowcount != len(moves):
        raise PositionMovedError


async def _insert_rejected(connection: Connection, forwarder: str, lines: RejectedLines) -> None:
    await connection.execute(
        """INSERT INTO rejected (sink, service_id, first_seq, last_seq, lines, reason, at)
           VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp())""",
        (
            forwarder,
            lines.service_id,
            lines.first_seq,
            lines.last_seq,
            lines.count,
            without_nul(lines.reason),
        ),
    )


async def resend(session: Session, forwarder: str, since: Any, *, rejected_only: bool) -> int:
    """Move a forwarder back; return how many lines it will send again."""
    values: dict[str, Any] = {"sink": forwarder, "since": since}
    if rejected_only:
        first = """SELECT min(first_seq) FROM rejected
                   WHERE sink = forward.sink AND service_id = forward.service_id"""
    elif since is None:
        first = "SELECT 1::bigint"
    else:
        first = """SELECT min(seq) FROM line
                   WHERE service_id = forward.service_id AND kept_at >= %(since)s"""
    total = "SELECT coalesce(sum(seq), 0)::bigint FROM forward WHERE sink = %(sink)s"
    async with session.transaction() as connection:
        before = await (await connection.execute(total, values)).fetchone()
        await connection.execute(
            f"""UPDATE forward SET seq = least(seq, coalesce(({first}) - 1, seq))
                WHERE sink = %(sink)s""",
            values,
        )
        if rejected_only:
            await connection.execute("DELETE FROM rejected WHERE sink = %(sink)s", values)
        after = await (await connection.execute(total, values)).fetchone()
    assert before is not None  # noqa: S101 - an aggregate has one row
    assert after is not None  # noqa: S101
    return int(before[0] - after[0])
