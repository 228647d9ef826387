"""Following a service: its deployments as they come, go and end."""

from aioservices import Services
from aioservices.emulator import Emulator

from .conftest import QUICK, drain, take, until, write


async def test_lines_come_as_they_are_written(emulator: Emulator, services: Services) -> None:
    service_id = emulator.add_service("web", deployed=True)
    async with services.tail_logs(service_id, **QUICK) as tail:
        for number in range(0, 30, 3):
            written = write(emulator, service_id, number, number + 1, number + 2)
            assert await take(tail, 3) == written
