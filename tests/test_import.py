"""What importing the package loads."""

import subprocess
import sys

import pytest

import aioservices


def loaded_by(code: str) -> set[str]:
    command = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_the_client_loads_neither_the_command_line_nor_the_emulator() -> None:
    loaded = loaded_by("from aioservices import Services")
    assert "aioservices.client" in loaded
    assert not loaded & {"aioservices.cli", "aioservices.emulator", "click", "rich"}


def test_importing_the_client_loads_nothing_that_a_single_call_does_without() -> None:
    loaded = loaded_by("from aioservices import Services")
    assert not loaded & {"aioservices.tail", "aioservices.fleet", "aioservices.stores", "backoff"}
    assert not loaded & {"aioservices.api.raw", "aioservices.api.search"}
    assert not loaded & {"aioservices.http.api_error", "aioservices.http.redaction"}
    assert not loaded & {"anyio", "html.entities"}


def test_importing_the_package_alone_loads_nothing_that_takes_time() -> None:
    assert not loaded_by("import aioservices") & {"aioservices.client", "aiohttp", "asyncio"}


def test_every_public_name_is_there_and_is_listed() -> None:
    assert {"Services", "LogTail", "ServicesError", "__version__"} <= set(aioservices.__all__)
    assert set(aioservices.__all__) <= set(dir(aioservices))
    assert "TYPE_CHECKING" not in dir(aioservices)
    assert all(getattr(aioservices, name) is not None for name in aioservices.__all__)


@pytest.mark.parametrize("name", ["nonsense", "_nonsense", "__nonsense__"])
def test_what_is_not_a_public_name_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'aioservices' has no attribute '{name}'"):
        getattr(aioservices, name)


def test_a_module_that_the_names_come_from_is_an_attribute() -> None:
    code = (
        "import aioservices\nassert aioservices.errors.ServicesError is aioservices.ServicesError"
    )
    assert "aioservices.errors" in loaded_by(code)
