"""Exports stored lines to a file for other programs."""

# pyarrow has no type annotations.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, TypeAlias

from .files import refuse_store_file
from .protocol import Store
from .record import StoredEntry, to_json_line

__all__ = ["Format", "export_lines"]

Format: TypeAlias = Literal["jsonl", "parquet"]
_Write: TypeAlias = Callable[[Sequence[StoredEntry]], object]

_BATCH = 20_000  # lines in memory at once


async def export_lines(
    store: Store,
    service_ids: Sequence[int],
    path: Path,
    *,
    format: Format,
    start_at: dt.datetime | None = None,
    end_at: dt.datetime | None = None,
) -> int:
    """Write lines to a file.

    Parameters
    ----------
    store : Store
    service_ids : sequence of int
    path : Path
        Replaced once everything is written.
    format : {'jsonl', 'parquet'}
        One JSON object per line; or compressed Parquet, which needs pyarrow.
    start_at, end_at : datetime, optional
        Both inclusive.

    Returns
    -------
    int
        The number of lines written.

    Raises
    ------
    ModuleNotFoundError
        If pyarrow is needed, but not installed.
    StoreConfigError
        If the file is a store, or belongs to one.
    """
    count = 0
    with _complete(path) as new, _WRITERS[format](new) as write:
        async for entries in _batches(store, service_ids, start_at, end_at):
            write(entries)
            count += len(entries)
    return count


@contextlib.contextmanager
def _jsonl(path: Path) -> Generator[_Write]:
    with path.open("wb") as file:
        yield lambda entries: file.write(b"".join(map(to_json_line, entries)))


@contextlib.contextmanager
def _parquet(path: Path) -> Generator[_Write]:
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

    def write(entries: Sequence[StoredEntry]) -> None:
        columns = {name: [getattr(entry, name) for entry in entries] for name in schema.names}
        file.write_table(arrow.table(columns, schema=schema))

    with parquet.ParquetWriter(path, schema, compression="zstd") as file:
        yield write


_WRITERS: Mapping[Format, Callable[[Path], AbstractContextManager[_Write]]] = {
    "jsonl": _jsonl,
    "parquet": _parquet,
}


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
def _complete(path: Path) -> Generator[Path]:
    """Yield the path of a temporary file, which replaces the target if there was no error."""
    refuse_store_file(path)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
