"""The distributed store: one PostgreSQL database, several collectors."""

from .store import PostgresStore

__all__ = ["PostgresStore"]
