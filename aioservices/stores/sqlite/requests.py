"""Requests to the process that owns a store's file, as files next to it.

SQLite allows two processes to write one file, but with some versions in use that is risky, and the
owner's state in memory would become wrong. So the owner does it, at its next heartbeat.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec

__all__ = ["ResendRequest", "pending_requests", "post_request"]


class ResendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request that a forwarder sends lines again; see `Store.resend`.

    Attributes
    ----------
    forwarder : str
    since : int or None
        Microseconds since 1970.
    rejected_only : bool
    """

    forwarder: str
    since: int | None
    rejected_only: bool


def post_request(path: Path, request: ResendRequest) -> Path:
    """Post a request to the owner of a file; return its path, which is removed once it is done."""
    name = f"{path.name}.resend-{uuid.uuid4().hex}"
    draft, posted = path.with_name(f".{name}"), path.with_name(name)
    try:
        draft.write_bytes(msgspec.json.encode(request))
        draft.rename(posted)
    finally:
        draft.unlink(missing_ok=True)
    return posted


def pending_requests(path: Path) -> Iterator[tuple[Path, ResendRequest]]:
    """Yield the pending requests; invalid ones are removed."""
    prefix = f"{path.name}.resend-"
    neighbours = sorted(path.absolute().parent.iterdir())
    for posted in [each for each in neighbours if each.name.startswith(prefix)]:
        try:
            content = posted.read_bytes()
        except FileNotFoundError:  # withdrawn meanwhile: who waited for it was interrupted
            continue
        try:
            yield posted, msgspec.json.decode(content, type=ResendRequest)
        except msgspec.MsgspecError:
            posted.unlink(missing_ok=True)
