"""The endpoints: from a request to its answer, without any I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal, NamedTuple, TypeVar

import msgspec

from aioservices.emulator import directory, schemas
from aioservices.emulator.logs import LogBehaviour
from aioservices.emulator.query import Query, parse_body
from aioservices.emulator.schemas import pick
from aioservices.emulator.state import APIError, Service, State, not_found

__all__ = ["ROUTES", "Api", "Reply", "Request", "error_reply"]

_Item = TypeVar("_Item")

JSON = "application/json; charset=utf-8"
PAGE_SIZE = 20
MAX_PAGE_SIZE = 50
LOG_PAGE_SIZE = 10_000

_encode = msgspec.json.Encoder().encode
_NO_HEADERS: Mapping[str, str] = {}
_ERRORS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    422: "unprocessable_entity",
    429: "too_many_requests",
    500: "internal_server_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}


class Request(NamedTuple):
    """The request of a client."""

    method: str
    path: str
    query_string: str = ""
    body: bytes = b""


class Reply(NamedTuple):
    """The answer to a request."""

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = _NO_HEADERS
    content_type: str = JSON


class Call(NamedTuple):
    """A request on its way to an endpoint, with the time it is handled at."""

    now: int
    query: Query
    body: bytes


def error_reply(status: int, description: str, headers: Mapping[str, str] = _NO_HEADERS) -> Reply:
    """Make an answer in the format of the API's errors."""
    failure = schemas.ErrorBody(
        error=_ERRORS.get(status, "error"), error_description=description, code=status
    )
    return Reply(status, _encode(failure), headers)


@dataclass(slots=True, kw_only=True)
class Api:
    """Every endpoint over a state.

    Parameters
    ----------
    state
        The state that the endpoints show and change.
    logs
        How the logs behave.
    random
        Decides on the order of unsorted pages.
    pagination_headers
        Whether listings have them.
    shares_as
        Whether the shares come as one object or as an array that holds one.
    credentials_as
        Whether the credentials of a service come as ids, or as objects with id and name.
    """

    state: State
    logs: LogBehaviour = field(default_factory=LogBehaviour)
    random: Random = field(default_factory=Random)
    pagination_headers: bool = True
    shares_as: Literal["array", "object"] = "array"
    credentials_as: Literal["ids", "objects"] = "objects"

    def handle(self, request: Request, now: int) -> Reply:
        """Answer a request."""
        segments = request.path.strip("/").split("/")
        ids = [int(segment) for segment in segments if _is_id(segment)]
        template = "/".join("#" if _is_id(segment) else segment for segment in segments)
        methods = ROUTES.get(template)
        if methods is None:
            return error_reply(404, f"There is nothing at {request.path}")
        endpoint = methods.get(request.method)
        if endpoint is None:
            allowed = ", ".join(sorted(methods))
            return error_reply(405, f"Only {allowed} can be used here", {"Allow": allowed})
        call = Call(now, Query(request.query_string), request.body)
        try:
            if not ids:
                return endpoint(self, call)
            return endpoint(self, call, self.state.service(ids[0]), *ids[1:])
        except APIError as error:
            return error_reply(error.status, error.description)

    def _list(self, call: Call) -> Reply:
        archived = call.query.choice("archived", ("true", "false", "all"), "false")
        hidden = call.query.boolean("hidden")
        authors = call.query.words("author")
        statuses = call.query.words("status")
        if not all(author.isdecimal() for author in authors or ()):
            raise APIError(422, "author must be a comma-separated list of user ids")
        if not {"running", "idle"}.issuperset(statuses or ()):
            raise APIError(422, "status must be a comma-separated list of: running, idle")
        found = [
            service
            for service in self.state.services.values()
            if service.details.hidden == hidden
            and archived in ("all", "true" if service.details.archived else "false")
            and (authors is None or str(service.details.user.id) in authors)
            and (statuses is None or _status(service, call.now) in statuses)
        ]
        order = call.query.choice("order", ("updated_at", "name", "created_at"), "updated_at")
        page, headers = self._page(
            call, found, key=lambda service: (getattr(service.details, order), service.details.id)
        )
        return _reply([service.summary(call.now) for service in page], headers)

    def _post(self, call: Call) -> Reply:
        attributes, _ = parse_body(call.body, schemas.NewAttributes)
        _check_replicas(attributes.replicas, attributes.max_replicas)
        return self._service(call, self.state.create(call.now, attributes), 201)

    def _get(self, call: Call, service: Service) -> Reply:
        return self._service(call, service)

    def _put(self, call: Call, service: Service) -> Reply:
        attributes, _ = parse_body(call.body, schemas.Attributes)
        _check_replicas(attributes.replicas, attributes.max_replicas)
        self.state.update(call.now, service, attributes)
        return self._service(call, service)

    def _patch(self, call: Call, service: Service) -> Reply:
        attributes, names = parse_body(call.body, schemas.Attributes)
        replicas, max_replicas = (
            getattr(attributes if name in names else service.details, name)
            for name in ("replicas", "max_replicas")
        )
        _check_replicas(replicas, max_replicas)
        self.state.update(call.now, service, attributes, names)
        return self._service(call, service)

    def _delete(self, call: Call, service: Service) -> Reply:
        self.state.archive(call.now, service, archived=True)
        return Reply(204)

    def _list_shares(self, call: Call, service: Service) -> Reply:
        shares = service.shares()
        return _reply(shares if self.shares_as == "object" else [shares])

    def _put_shares_users(self, call: Call, service: Service) -> Reply:
        body, _ = parse_body(call.body, schemas.ShareUsersBody)
        service.user_levels.update(dict.fromkeys(body.user_ids, body.permission_level))
        return _reply(service.shares())

    def _delete_shares_users(self, call: Call, service: Service, user_id: int) -> Reply:
        return _delete_from(service.user_levels, "share with user", user_id)

    def _put_shares_groups(self, call: Call, service: Service) -> Reply:
        body, _ = parse_body(call.body, schemas.ShareGroupsBody)
        service.group_levels.update(dict.fromkeys(body.group_ids, body.permission_level))
        return _reply(service.shares())

    def _delete_shares_groups(self, call: Call, service: Service, group_id: int) -> Reply:
        return _delete_from(service.group_levels, "share with group", group_id)

    def _list_dependencies(self, call: Call, service: Service) -> Reply:
        return _reply(self.state.dependencies(service, call.query.integer("user_id")))

    def _put_transfer(self, call: Call, service: Service) -> Reply:
        body, _ = parse_body(call.body, schemas.TransferBody)
        dependencies = self.state.transfer(
            call.now, service, body.user_id, grant=body.include_dependencies
        )
        shared = [
            pick(dependency, schemas.TransferredDependency, shared=body.include_dependencies)
            for dependency in dependencies
        ]
        return _reply(schemas.Transfer(dependencies=shared))

    def _put_archive(self, call: Call, service: Service) -> Reply:
        body, _ = parse_body(call.body, schemas.ArchiveBody)
        self.state.archive(call.now, service, archived=body.status)
        return self._service(call, service)

    def _list_projects(self, call: Call, service: Service) -> Reply:
        # No project here is hidden.
        shown = {} if call.query.boolean("hidden") else service.projects
        return _reply([directory.project(number, at) for number, at in shown.items()])

    def _put_projects(self, call: Call, service: Service, project_id: int) -> Reply:
        service.projects.setdefault(project_id, call.now)
        return Reply(204)

    def _delete_projects(self, call: Call, service: Service, project_id: int) -> Reply:
        return _delete_from(service.projects, "project", project_id)

    def _list_deployments(self, call: Call, service: Service) -> Reply:
        only = call.query.integer("deployment_id")
        found = [d for d in service.deployments.values() if only in (None, d.id)]
        call.query.choice("order", ("created_at",), "created_at")
        page, headers = self._page(call, found, key=lambda d: (d.created, d.id))
        return _reply([deployment.summary(call.now) for deployment in page], headers)

    def _post_deployments(self, call: Call, service: Service) -> Reply:
        body, _ = parse_body(call.body, schemas.DeployBody)
        deployment = self.state.deploy(call.now, service, body.deployment_id)
        return _reply(deployment.view(call.now), status=201)

    def _get_deployments(self, call: Call, service: Service, deployment_id: int) -> Reply:
        return _reply(service.deployment(deployment_id).view(call.now))

    def _delete_deployments(self, call: Call, service: Service, deployment_id: int) -> Reply:
        self.state.delete_deployment(call.now, service, deployment_id)
        return Reply(204)

    def _list_deployments_logs(self, call: Call, service: Service, deployment_id: int) -> Reply:
        deployment = service.deployment(deployment_id)
        deployment.write_due_lines(call.now, self.logs)
        lines = deployment.log.query(
            call.now,
            start_at=call.query.instant("start_at"),
            end_at=call.query.instant("end_at"),
            limit=call.query.integer("limit") or LOG_PAGE_SIZE,
            behaviour=self.logs,
            random=self.random,
        )
        return Reply(200, b"[%b]" % b",".join(lines))

    def _post_clone(self, call: Call, service: Service) -> Reply:
        return self._service(call, self.state.clone(call.now, service), 201)

    def _post_tokens(self, call: Call, service: Service) -> Reply:
        body, _ = parse_body(call.body, schemas.TokenBody)
        token = self.state.add_token(
            call.now,
            service,
            body.name,
            machine=bool(body.machine_token),
            expires_in=body.expires_in,
        )
        return _reply(token, status=201)

    def _list_tokens(self, call: Call, service: Service) -> Reply:
        return _reply([pick(token, schemas.Token) for token in service.tokens.values()])

    def _delete_tokens(self, call: Call, service: Service, token_id: int) -> Reply:
        return _delete_from(service.tokens, "token", token_id)

    def _service(self, call: Call, service: Service, status: int = 200) -> Reply:
        view = service.view(call.now)
        if self.credentials_as == "objects" and view.credentials:
            view = msgspec.structs.replace(
                view, credentials=[directory.credential(number) for number in view.credentials]
            )
        return _reply(view, status=status)

    def _page(
        self, call: Call, items: Sequence[_Item], *, key: Callable[[_Item], tuple[object, int]]
    ) -> tuple[Sequence[_Item], Mapping[str, str]]:
        limit = min(call.query.integer("limit") or PAGE_SIZE, MAX_PAGE_SIZE)
        number = call.query.integer("page_num") or 1
        descending = call.query.choice("order_dir", ("asc", "desc"), "desc") == "desc"
        page = sorted(items, key=key, reverse=descending)[(number - 1) * limit : number * limit]
        if not self.pagination_headers:
            return page, _NO_HEADERS
        return page, {
            "X-Pagination-Current-Page": str(number),
            "X-Pagination-Total-Pages": str(max(1, -(-len(items) // limit))),
            "X-Pagination-Per-Page": str(limit),
            "X-Pagination-Total-Entries": str(len(items)),
        }


ROUTES: Mapping[str, Mapping[str, Callable[..., Reply]]] = {
    "services": {"GET": Api._list, "POST": Api._post},
    "services/#": {"GET": Api._get, "PUT": Api._put, "PATCH": Api._patch, "DELETE": Api._delete},
    "services/#/shares": {"GET": Api._list_shares},
    "services/#/shares/users": {"PUT": Api._put_shares_users},
    "services/#/shares/users/#": {"DELETE": Api._delete_shares_users},
    "services/#/shares/groups": {"PUT": Api._put_shares_groups},
    "services/#/shares/groups/#": {"DELETE": Api._delete_shares_groups},
    "services/#/dependencies": {"GET": Api._list_dependencies},
    "services/#/transfer": {"PUT": Api._put_transfer},
    "services/#/archive": {"PUT": Api._put_archive},
    "services/#/projects": {"GET": Api._list_projects},
    "services/#/projects/#": {"PUT": Api._put_projects, "DELETE": Api._delete_projects},
    "services/#/deployments": {"GET": Api._list_deployments, "POST": Api._post_deployments},
    "services/#/deployments/#": {
        "GET": Api._get_deployments,
        "DELETE": Api._delete_deployments,
    },
    "services/#/deployments/#/logs": {"GET": Api._list_deployments_logs},
    "services/#/redeploy": {"POST": Api._post_deployments},
    "services/#/clone": {"POST": Api._post_clone},
    "services/#/tokens": {"GET": Api._list_tokens, "POST": Api._post_tokens},
    "services/#/tokens/#": {"DELETE": Api._delete_tokens},
}


def _is_id(segment: str) -> bool:
    return segment.isascii() and segment.isdecimal() and len(segment) < 19


def _reply(value: object, headers: Mapping[str, str] = _NO_HEADERS, status: int = 200) -> Reply:
    return Reply(status, _encode(value), headers)


def _status(service: Service, now: int) -> str:
    return "running" if service.is_running(now) else "idle"


def _check_replicas(replicas: int, max_replicas: int | None) -> None:
    if max_replicas is not None and max_replicas < replicas:
        raise APIError(422, "maxReplicas must not be less than replicas")


def _delete_from(owned: dict[int, _Item], kind: str, number: int) -> Reply:
    if number not in owned:
        raise not_found(kind, number)
    del owned[number]
    return Reply(204)
