"""Fixtures for the test suites of those who use the library.

Every run of pytest loads this module wherever the library is installed, so it imports
nothing that costs time until a test asks for it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from aioservices.emulator.emulator import Emulator


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "services_emulator(...): arguments of the Emulator that the fixture gives"
    )


@pytest.fixture
def services_emulator(request: pytest.FixtureRequest) -> "Iterator[Emulator]":
    """An emulator with three services, in its own thread.

    It serves tests of any kind, whether they are asynchronous or not. The marker
    `services_emulator` sets other arguments: `@pytest.mark.services_emulator(services=5)`.
    """
    from anyio.from_thread import start_blocking_portal

    from aioservices.emulator import Emulator

    node = cast("pytest.Item", request.node)  # pyright: ignore[reportUnknownMemberType]
    marker = node.get_closest_marker("services_emulator")
    options: dict[str, Any] = {"services": 3, **(marker.kwargs if marker else {})}
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Emulator(**options)) as emulator,
    ):
        yield emulator
