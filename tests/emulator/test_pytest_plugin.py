"""The fixture that other test suites use."""

import base64
import json
import time
import urllib.request
from typing import Any

import pytest

from aioservices.emulator import Emulator, Respond

pytest_plugins = ["pytester"]


def get(emulator: Emulator, path: str) -> Any:
    """Ask as a test without an event loop would."""
    key = base64.b64encode(f"{emulator.api_key}:".encode()).decode()
    request = urllib.request.Request(emulator.url + path, headers={"Authorization": f"Basic {key}"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        return json.loads(response.read())


def test_a_test_without_a_loop_has_an_emulator(services_emulator: Emulator) -> None:
    services_emulator.log(1, "a line")
    [line] = get(services_emulator, "/services/1/deployments/1001/logs")
    assert line["message"] == "a line"
    assert len(get(services_emulator, "/services")) == 3


def test_faults_happen_in_its_thread(services_emulator: Emulator) -> None:
    with (
        services_emulator.fault(Respond(503)) as fault,
        pytest.raises(urllib.request.HTTPError, match="503"),
    ):
        get(services_emulator, "/services")
    assert fault.hits == 1


def test_programs_run_in_its_thread(services_emulator: Emulator) -> None:
    service_id = services_emulator.add_service("job", command=["/bin/sh", "-c", "exit 3"])
    services_emulator.deploy(service_id)
    deadline = time.monotonic() + 30
    current: dict[str, str] = {"state": "pending"}
    while current["state"] != "failed" and time.monotonic() < deadline:
        current = get(services_emulator, f"/services/{service_id}")["currentDeployment"]
    assert current["stateMessage"] == "exited with status 3"


async def test_a_test_with_a_loop_has_one_too(services_emulator: Emulator) -> None:
    import aiohttp

    header = {"Authorization": aiohttp.encode_basic_auth(services_emulator.api_key, "")}
    async with (
        aiohttp.ClientSession(headers=header) as session,
        session.get(f"{services_emulator.url}/services") as response,
    ):
        assert response.status == 200


@pytest.mark.services_emulator(services=5, api_key="mine")
def test_a_marker_says_what_it_is_like(services_emulator: Emulator) -> None:
    assert services_emulator.api_key == "mine"
    assert len(get(services_emulator, "/services")) == 5


def test_an_installed_library_brings_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.services_emulator(services=1)
        def test_it(services_emulator):
            assert services_emulator.service_ids == [1]
        """
    )
    result = pytester.runpytest_subprocess(
        "--strict-markers", "-W", "error", "-p", "no:cacheprovider"
    )
    result.assert_outcomes(passed=1)


def test_a_run_that_does_not_use_it_does_not_load_the_emulator(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            assert "aioservices.emulator.pytest_plugin" in sys.modules
            assert "aioservices.emulator.emulator" not in sys.modules
        """
    )
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=1)
