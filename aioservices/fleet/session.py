"""What a fleet needs from a session."""

from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Literal, Protocol, Self

from aioservices.api.models import LogEntry
from aioservices.api.states import StatusFilter
from aioservices.http.options import AttemptHook
from aioservices.http.response import RawResponse
from aioservices.http.retry import RetryPolicy
from aioservices.tail import LogTail

__all__ = ["RawSession", "Session"]


class RawSession(Protocol):
    """Calls whose answers are decoded with more tolerance, or whose headers are needed."""

    def list(
        self,
        *,
        hidden: bool | None = None,
        status: StatusFilter | None = None,
        limit: int | None = None,
        page_num: int | None = None,
        order: Literal["created_at"] | None = None,
        order_dir: Literal["asc"] | None = None,
    ) -> Awaitable[RawResponse]:
        """``GET /services``, one page."""
        ...

    def list_deployments(
        self,
        service_id: int,
        *,
        limit: int | None = None,
        page_num: int | None = None,
        order_dir: Literal["desc"] | None = None,
    ) -> Awaitable[RawResponse]:
        """``GET /services/{service_id}/deployments``, one page."""
        ...

    def get(self, id: int) -> Awaitable[RawResponse]:
        """``GET /services/{id}``."""
        ...

    def get_deployments(self, service_id: int, deployment_id: int) -> Awaitable[RawResponse]:
        """``GET /services/{service_id}/deployments/{deployment_id}``."""
        ...

    def post_deployments(self, service_id: int) -> Awaitable[RawResponse]:
        """``POST /services/{service_id}/deployments``."""
        ...

    def post_redeploy(self, service_id: int) -> Awaitable[RawResponse]:
        """``POST /services/{service_id}/redeploy``."""
        ...


class Session(Protocol):
    """The calls that are made on behalf of many services; `Services` has them all."""

    @property
    def raw(self) -> RawSession:
        """The calls with their answers as they came."""
        ...

    @property
    def retry(self) -> RetryPolicy:
        """How often, and for how long, a failed call is retried."""
        ...

    def with_options(
        self,
        *,
        background: bool = ...,
        retry: RetryPolicy = ...,
        on_attempt: AttemptHook = ...,
    ) -> Self:
        """Make a view with other options: see `Services.with_options`."""
        ...

    async def list_deployments_logs(
        self, id: int, deployment_id: int, *, start_at: datetime | None = None
    ) -> Sequence[LogEntry]:
        """``GET /services/{id}/deployments/{deployment_id}/logs``."""
        ...

    def tail_logs(
        self,
        id: int,
        deployment_id: int | None = None,
        *,
        start_at: datetime | None = None,
        follow: bool = True,
    ) -> LogTail:
        """All pages of a log."""
        ...
