"""What somebody asks of the process that owns a store's file, by files beside it.

SQLite lets two processes write one file, but not without risk in the versions that are in use; and
what the owner knows by heart would become wrong. So it is asked, and does it when it next looks.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec

__all__ = ["ResendRequest", "pending_requests", "post_request"]


class ResendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """That a forwarder sends again; see `Store.resend`.

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
    """Ask the owner of a file; give the file of the request, which is gone once it is done."""
    name = f"{path.name}.resend-{uuid.uuid4().hex}"
    draft, posted = path.with_name(f".{name}"), path.with_name(name)
    try:
        draft.write_bytes(msgspec.json.encode(request))
        draft.rename(posted)
    finally:
        draft.unlink(missing_ok=True)
    return posted


def pending_requests(path: Path) -> Iterator[tuple[Path, ResendRequest]]:
    """Give what was asked for. What cannot be read is removed: nobody could ever do it."""
    prefix = f"{path.name}.resend-"
    beside = sorted(path.absolute().parent.iterdir())
    for posted in [each for each in beside if each.name.startswith(prefix)]:
        try:
            yield posted, msgspec.json.decode(posted.read_bytes(), type=ResendRequest)
        except msgspec.MsgspecError:
            posted.unlink(missing_ok=True)
