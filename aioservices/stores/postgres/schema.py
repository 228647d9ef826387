"""The tables of a PostgreSQL store: created, checked and migrated."""

from __future__ import annotations

import secrets

from aioservices.stores.errors import StoreConfigError, StoreVersionError

from .session import Connection, Session

__all__ = ["SCHEMA_VERSION", "SETUP_LOCK", "check_schema", "open_schema"]

SCHEMA_VERSION = 1

SETUP_LOCK = 0x61696F7300000001

_TABLES = """
CREATE TABLE meta (schema integer NOT NULL, salt bytea NOT NULL);
CREATE TABLE tail (
    service_id bigint PRIMARY KEY,
    service_name text,
    commit_id uuid NOT NULL DEFAULT gen_random_uuid(),
    cursor text,
    seq bigint NOT NULL DEFAULT 0,
    kept_at timestamptz,
    owner uuid,
    lease_until timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
CREATE TABLE line (
    created_at timestamptz NOT NULL,
    kept_at timestamptz NOT NULL,
    service_id bigint NOT NULL,
    deployment_id bigint NOT NULL,
    seq bigint NOT NULL,
    copy integer NOT NULL,
    severity smallint,
    stream text,
    source text,
    message text,
    raw bytea
) PARTITION BY RANGE (created_at);
CREATE UNIQUE INDEX line_by_time ON line (service_id, created_at, seq);
CREATE INDEX line_by_seq ON line (service_id, seq);  -- what forwarders read by
CREATE INDEX line_created_at ON line USING brin (created_at);
CREATE TABLE daemon (
    id uuid NOT NULL,
    key_id bytea NOT NULL,
    host text NOT NULL,
    version text NOT NULL,
    seen_at timestamptz NOT NULL,
    tails integer NOT NULL,
    PRIMARY KEY (id, key_id)
);
CREATE TABLE gap (
    service_id bigint NOT NULL,
    deployment_id bigint NOT NULL,
    start_at timestamptz,
    end_at timestamptz,
    noted_at timestamptz NOT NULL
);
CREATE TABLE removed (service_id bigint NOT NULL, lines bigint NOT NULL);
CREATE TABLE forward (
    sink text NOT NULL,
    service_id bigint NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (sink, service_id)
);
CREATE TABLE forward_note (
    sink text NOT NULL,
    place text NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (sink, place)
);
CREATE TABLE rejected (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sink text NOT NULL,
    service_id bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    lines bigint NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL
);
"""

# The migration from version n to n + 1 is at index n - 1. Never changed once released.
_MIGRATIONS: tuple[str, ...] = ()


async def open_schema(session: Session, name: str, *, read_only: bool) -> bytes:
    """Create the tables if they do not exist, migrate them, and return the salt.

    Raises
    ------
    StoreConfigError
        If the database cannot contain a store, or contains none and is read-only.
    StoreVersionError
        If the tables are of a newer release.
    """
    async with session.transaction() as connection:
        await _check_encoding(connection, name)
        if not read_only:
            # Two daemons that start at the same time must not create the same tables.
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (SETUP_LOCK,))
            if not await _exists(connection, "tail"):
                # Checked first, because fewer users may create a schema than use it.
                if not await _schema_exists(connection):
                    await connection.execute("CREATE SCHEMA aioservices")
                await connection.execute(_TABLES)
                await connection.execute(
                    "INSERT INTO meta VALUES (%s, %s)", (SCHEMA_VERSION, secrets.token_bytes(16))
                )
        elif not await _exists(connection, "tail"):
            raise StoreConfigError(f"there is no store in {name}")
        found = await (await connection.execute("SELECT schema, salt FROM meta")).fetchone()
        assert found is not None  # noqa: S101 - inserted with the table
        version, salt = found
        _check_version(version, name)
        if version < SCHEMA_VERSION and not read_only:
            for number in range(version, SCHEMA_VERSION):
                await connection.execute(_MIGRATIONS[number - 1].encode())
            await connection.execute("UPDATE meta SET schema = %s", (SCHEMA_VERSION,))
        return bytes(salt)


async def check_schema(connection: Connection, name: str) -> None:
    """Check that no newer release has migrated the tables meanwhile.

    Raises
    ------
    StoreVersionError
        If one has.
    """
    found = await (await connection.execute("SELECT schema FROM meta")).fetchone()
    if found is not None:
        _check_version(found[0], name)


def _check_version(version: int, name: str) -> None:
    if version > SCHEMA_VERSION:
        raise StoreVersionError(
            f"{name} has schema version {version}, and this release knows up to "
            f"{SCHEMA_VERSION}: it was created by a newer aioservices. Upgrade this one"
        )


async def _check_encoding(connection: Connection, name: str) -> None:
    found = await (await connection.execute("SHOW server_encoding")).fetchone()
    if found is not None and found[0] != "UTF8":
        raise StoreConfigError(
            f"{name} has the encoding {found[0]}, which cannot store every line: create a database "
            "with ENCODING 'UTF8'"
        )


async def _exists(connection: Connection, table: str) -> bool:
    found = await (
        await connection.execute("SELECT to_regclass(%s)", (f"aioservices.{table}",))
    ).fetchone()
    return found is not None and found[0] is not None


async def _schema_exists(connection: Connection) -> bool:
    found = await (await connection.execute("SELECT to_regnamespace('aioservices')")).fetchone()
    return found is not None and found[0] is not None
