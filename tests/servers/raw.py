"""An answer as it came, without a server."""

from collections.abc import Mapping

from aioservices.http.response import RawResponse


def raw_response(
    status: int = 200,
    content: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    path: str = "services/42",
    attempts: int = 1,
) -> RawResponse:
    """Make an answer; what a test does not care about is left out."""
    return RawResponse(
        status=status,
        headers=headers or {},
        content=content,
        method=method,
        path=path,
        attempts=attempts,
        elapsed=0.0,
    )
