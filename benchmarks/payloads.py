"""The answers of the measured API, as the bytes that are sent.

The JSON is written here by hand and not with the Structs of `aioservices`, so that no contender
decodes what it has encoded.
"""

import json
from datetime import UTC, datetime, timedelta

SERVICES = 1_000
PAGE_SIZE = 50
LOG_LINES = 10_000

_EPOCH = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_CREATED_AT = "2026-11-23T12:34:56.000Z"
_USER = {
    "id": 7,
    "name": "Ada Lovelace",
    "username": "alovelace",
    "initials": "AL",
    "online": True,
}


def service(service_id: int) -> bytes:
    """Return the body of `GET /services/{id}`."""
    return b'{"id":%d,%b' % (service_id, _SERVICE_TAIL)


def deployment(service_id: int) -> bytes:
    """Return the body of `POST /services/{id}/deployments`."""
    return b'{"serviceId":%d,%b' % (service_id, _DEPLOYMENT_TAIL)


def listing(page: int) -> bytes:
    """Return the body of one page of `GET /services`, counted from 1; past the end it is empty."""
    first = (page - 1) * PAGE_SIZE + 1
    ids = range(first, min(first + PAGE_SIZE, SERVICES + 1))
    return b"[%b]" % b",".join(b'{"id":%d,%b' % (each, _SUMMARY_TAIL) for each in ids)


def log_page() -> bytes:
    """Return the body of a page of `LOG_LINES` log lines, oldest first."""
    step = timedelta(milliseconds=1)
    lines = (log_line(number, _EPOCH + number * step) for number in range(LOG_LINES))
    return b"[%b]" % b",".join(lines)


def log_line(number: int, created_at: datetime) -> bytes:
    """Return one log line, counted from 0, with a time in UTC."""
    message = log_message(number).replace('"', '\\"')
    stream = "stderr" if number % 10 == 0 else "stdout"
    source = "system" if number % 50 == 0 else "user"
    at = created_at.replace(tzinfo=None).isoformat(timespec="microseconds")
    return (
        f'{{"message":"{message}","stream":"{stream}","createdAt":"{at}Z","source":"{source}"}}'
    ).encode()


def log_message(number: int) -> str:
    """Return the text of one log line, counted from 0."""
    return (
        f'10.0.{number % 256}.7 - "GET /items/{number} HTTP/1.1" 200 {number * 7919 % 9973} bytes'
    )


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _tail(attributes: dict[str, object]) -> bytes:
    return _compact(attributes)[1:]


_DEPLOYMENT: dict[str, object] = {
    "deploymentId": 1001,
    "userId": 7,
    "host": "web.services.example.com",
    "name": "deployment-1001",
    "dockerImageName": "example/web",
    "dockerImageTag": "1.2.3",
    "instanceType": "m5.xlarge",
    "memory": 2048,
    "cpu": 1000,
    "state": "running",
    "stateMessage": "The service is running",
    "maxMemoryUsage": 512.5,
    "maxCpuUsage": 250.0,
    "createdAt": _CREATED_AT,
    "updatedAt": _CREATED_AT,
}
_SUMMARY: dict[str, object] = {
    "name": "web",
    "description": "Answers the visitors",
    "user": _USER,
    "type": "App",
    "createdAt": _CREATED_AT,
    "updatedAt": _CREATED_AT,
    "gitRepoUrl": "https://git.example.com/example/web.git",
    "gitRepoRef": "main",
    "gitPathDir": None,
    "currentDeployment": {**_DEPLOYMENT, "serviceId": 1},
    "archived": False,
}
_SERVICE: dict[str, object] = {
    **_SUMMARY,
    "dockerImageName": "example/web",
    "dockerImageTag": "1.2.3",
    "schedule": {
        "runtimePlan": "specific_times",
        "recurrences": [{"scheduledDays": [1, 2, 3, 4, 5], "scheduledHours": [8, 9, 10, 11]}],
    },
    "timeZone": "America/Chicago",
    "replicas": 2,
    "maxReplicas": 4,
    "instanceType": "m5.xlarge",
    "memory": 2048,
    "cpu": 1000,
    "credentials": [{"id": 3, "name": "database"}],
    "permissionSetId": None,
    "reportId": 12,
    "currentDeployment": {**_DEPLOYMENT, "serviceId": 1, "displayUrl": "https://example.com/s"},
    "currentUrl": "https://web.services.example.com",
    "environmentVariables": {"LOG_LEVEL": "info", "WORKERS": "4"},
    "notifications": {"failureEmailAddresses": ["ops@example.com"], "failureOn": True},
    "partitionLabel": None,
    "myPermissionLevel": "manage",
    "hidden": False,
}

_SERVICE_TAIL = _tail(_SERVICE)
_SUMMARY_TAIL = _tail(_SUMMARY)
_DEPLOYMENT_TAIL = _tail({**_DEPLOYMENT, "displayUrl": "https://example.com/signed"})
