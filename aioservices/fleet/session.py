"""What a fleet needs of a session."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Generator, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, Self

from aioservices.api.models import Deployment, DeploymentSummary, LogEntry, Service, ServiceSummary
from aioservices.http.options import AttemptHook
from aioservices.http.response import RawResponse
from aioservices.tail import LogTail

__all__ = ["RawSession", "Session"]


class Deployments(Protocol):
    """A listing: awaited one page, iterated all of them."""

    def __await__(self) -> Generator[Any, Any, Sequence[DeploymentSummary]]: ...

    def __aiter__(self) -> AsyncIterator[DeploymentSummary]: ...


class RawSession(Protocol):
    """The listing with its headers, which tell how many pages there are."""

    def list(
        self,
        *,
        status: str | None = None,
        limit: int | None = None,
        page_num: int | None = None,
        order: Literal["created_at"] | None = None,
        order_dir: Literal["asc"] | None = None,
    ) -> Awaitable[RawResponse]:
        """``GET /services``, one page."""
        ...


class Session(Protocol):
    """The calls that are made on behalf of many services; `Services` has them all."""

    @property
    def raw(self) -> RawSession:
        """The calls with their answers as they came."""
        ...

    def with_options(self, *, background: bool = ..., on_attempt: AttemptHook = ...) -> Self:
        """Make a view whose calls give way to others, or are told to a hook."""
        ...

    def list(self, *, status: str | None = None) -> AsyncIterable[ServiceSummary]:
        """``GET /services``, every page."""
        ...

    async def get(self, id: int) -> Service:
        """``GET /services/{id}``."""
        ...

    def list_deployments(
        self,
        service_id: int,
        *,
        limit: int | None = None,
        order_dir: Literal["desc"] | None = None,
    ) -> Deployments:
        """``GET /services/{service_id}/deployments``."""
        ...

    async def get_deployments(self, service_id: int, deployment_id: int) -> Deployment:
        """``GET /services/{service_id}/deployments/{deployment_id}``."""
        ...

    async def post_deployments(self, service_id: int) -> Deployment:
        """``POST /services/{service_id}/deployments``."""
        ...

    async def post_redeploy(self, service_id: int) -> Deployment:
        """``POST /services/{service_id}/redeploy``."""
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
