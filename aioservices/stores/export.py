"""Writing what is stored to a file that other programs read."""

# pyarrow has no types of its own.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import AsyncIterator, Generator, Sequence
from pathlib import Path

from .files import refuse_store_file
from .protocol import Store
from .record import StoredEntry, to_json_line

__all__ = ["write_jsonl", "write_parquet"]

_BATCH = 20_000  # lines: so many are in memory at once


async def write_jsonl(
    store: Store,
    service_ids: Sequence[int],
    path: Path,
    *,
    start_at: dt.datetime | None = None,
    end_at: dt.datetime | None = None,
) -> int:
    """Write lines as JSON objects, a line each.

    Parameters
    ----------
    store : Store
    service_ids : sequence of int
    path : Path
        Replaced when everything is written.
    start_at, end_at : datetime, optional
        Both inclusive.

    Returns
    -------
    int
        How many lines were written.

    Raises
    ------
    StoreConfigError
        If the file is a store, or belongs to one.
    """
    count = 0
    with _complete(path) as new, new.open("wb") as file:
        async for entries in _batches(store, service_ids, start_at, end_at):
            file.write(b"".join(map(to_json_line, entries)))
            count += len(entries)
    return count


async def write_parquet(
    store: Store,
    service_ids: Sequence[int],
    path: Path,
    *,
    start_at: dt.datetime | None = None,
    end_at: dt.datetime | None = None,
) -> int:
    """Write lines as a Parquet file, compressed; needs pyarrow.

    Parameters
    ----------
    store : Store
    service_ids : sequence of int
    path : Path
        Replaced when everything is written.
    start_at, end_at : datetime, optional
        Both inclusive.

    Returns
    -------
    int
        How many lines were written.

    Raises
    ------
    ModuleNotFoundError
        If pyarrow is not installed.
    StoreConfigError
        If the file is a store, or belongs to one.
    """
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    instant = arrow.timestamp("us", tz="UTC")
    schema = arrow.schema(
        [
            ("service_id", arrow.int64()),
            ("service_name", arrow.dictionary(arrow.int32(), arrow.string())),
            ("deployment_id", arrow.int64()),
            ("seq", arrow.int64()),
            ("created_at", instant),
            ("kept_at", instant),
            ("stream", arrow.dictionary(arrow.int32(), arrow.string())),
            ("source", arrow.dictionary(arrow.int32(), arrow.string())),
            ("message", arrow.string()),
            ("copy", arrow.int32()),
            ("severity", arrow.int8()),
            ("line_id", arrow.string()),
        ]
    )
    count = 0
    with _complete(path) as new, parquet.ParquetWriter(new, schema, compression="zstd") as file:
        async for entries in _batches(store, service_ids, start_at, end_at):
            columns = {name: [getattr(entry, name) for entry in entries] for name in schema.names}
            file.write_table(arrow.table(columns, schema=schema))
            count += len(entries)
    return count


async def _batches(
    store: Store,
    service_ids: Sequence[int],
    start_at: dt.datetime | None,
    end_at: dt.datetime | None,
) -> AsyncIterator[list[StoredEntry]]:
    batch: list[StoredEntry] = []
    for service_id in service_ids:
        async for entry in store.read(service_id, start_at=start_at, end_at=end_at):
            batch.append(entry)
            if len(batch) == _BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


@contextlib.contextmanager
def _complete(path: Path) -> Generator[Path, None, None]:
    """Give the name of a file beside another one, which it replaces if all went well."""
    refuse_store_file(path)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
