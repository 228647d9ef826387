"""Answers of 4xx: one may be a proxy's mistake, several in a row are the server's word."""

import anyio
import pytest

from aioservices import APIError, Services
from aioservices.emulator import Emulator
from aioservices.emulator.faults import Respond

from .conftest import PATIENCE, QUICK, collecting, take, until, write

LOGS = "/services/*/deployments/*/logs"
SERVICE = "/services/*"
STATUSES = (400, 403, 404, 409, 410, 413, 418, 422, 425, 451)


@pytest.mark.parametrize("path", [LOGS, SERVICE])
@pytest.mark.parametrize("status", STATUSES)
async def test_a_refusal_that_came_once_or_twice_is_not_believed(
    emulator: Emulator, services: Services, status: int, path: str
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    written = write(emulator, service_id, 1)
    async with services.tail_logs(service_id, **QUICK) as tail:
        assert await take(tail, 1) == written
        with emulator.fault(Respond(status), path=path, times=2) as fault:
            async with collecting(tail) as messages:
                await until(lambda: fault.hits == 2)
                written = write(emulator, service_id, 2)
                await until(lambda: messages == written)


@pytest.mark.parametrize("status", [400, 409, 413, 418, 422, 425, 451])
async def test_a_refusal_that_stays_ends_the_tail(
    emulator: Emulator, services: Services, status: int
) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with services.tail_logs(service_id, **QUICK) as tail:
        await take(tail, len(write(emulator, service_id, 1)))
        with (
            emulator.fault(Respond(status), path=LOGS) as fault,
            anyio.fail_after(PATIENCE),
            pytest.raises(APIError) as caught,
        ):
            await anext(tail)
        assert caught.value.status == status
        assert fault.hits >= 3
