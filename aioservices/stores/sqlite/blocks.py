"""Compressed blocks of about two thousand lines of one service; pure.

A block contains columns, not rows: similar values are next to each other, which zlib compresses
well, and a search reads the messages without decoding the other columns. The checksum of zlib
detects a changed block.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from itertools import accumulate

import msgspec

from aioservices.stores.query import LineQuery
from aioservices.stores.record import Row

__all__ = ["Block", "matching_rows", "pack_block", "unpack_block"]

_LEVEL = 6


class Block(msgspec.Struct, array_like=True):
    """Lines in columns; three of these contain differences."""

    seq: list[int]
    created_at: list[int]
    kept_at: list[int]
    deployment_id: list[int]
    copy: list[int]
    severity: list[int | None]
    stream: list[str | None]
    source: list[str | None]
    message: list[str | None]
    raw: list[bytes | None]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Block).decode


def pack_block(rows: Sequence[Row]) -> bytes:
    """Compress lines."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    for number in range(3):
        columns[number] = _differences(columns[number])
    return zlib.compress(_encode(columns), _LEVEL)


def unpack_block(data: bytes) -> list[Row]:
    """Decompress the lines of a block.

    Raises
    ------
    ValueError
        If it was changed after it was written.
    """
    return matching_rows(data, LineQuery())


def matching_rows(data: bytes, query: LineQuery) -> list[Row]:
    """Return the lines of a block that match a query; raises like `unpack_block`."""
    try:
        block = _decode(zlib.decompress(data))
    except (zlib.error, msgspec.MsgspecError) as exc:
        raise ValueError(f"a block of lines is damaged: {exc}") from exc
    block.seq = list(accumulate(block.seq))
    block.created_at = list(accumulate(block.created_at))
    block.kept_at = list(accumulate(block.kept_at))
    text = query.contains
    if text is not None:
        wanted = [n for n, message in enumerate(block.message) if message and text in message]
        rows = [_row(block, number) for number in wanted]
    else:
        rows = [*map(Row, *(getattr(block, name) for name in Block.__struct_fields__))]
    if query.start_at is None and query.end_at is None and query.deployment_id is None:
        return rows
    return [row for row in rows if query.matches(row)]


def _row(block: Block, number: int) -> Row:
    return Row(*(getattr(block, name)[number] for name in Block.__struct_fields__))


def _differences(numbers: Iterable[int]) -> list[int]:
    before = 0
    steps: list[int] = []
    for number in numbers:
        steps.append(number - before)
        before = number
    return steps
