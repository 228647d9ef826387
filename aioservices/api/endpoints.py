"""The endpoints of the services API: one short method for each of the 26."""

from __future__ import annotations

from .access_endpoints import AccessEndpoints
from .deployment_endpoints import DeploymentEndpoints
from .service_endpoints import ServiceEndpoints

__all__ = ["Endpoints"]


class Endpoints(ServiceEndpoints, DeploymentEndpoints, AccessEndpoints):
    """The endpoints of the services API.

    Any of the methods may raise an `APIError` (one subclass for each status), a
    `ConnectionFailedError` or `RequestTimeoutError` if no answer came, a
    `ResponseDecodeError` if the answer is not what the endpoint promises, or a
    `SessionClosedError`. Arguments are checked before anything is sent: one of a wrong type
    is a `TypeError`, a negative identifier a `ValueError`.

    Keyword arguments that go into the body of a request are left out when not given, and sent
    as `null` when given as None. Those that go into the query are left out in both cases.
    """
