"""What `import aioservices` loads."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["aioservices.cli", "aioservices.emulator", "click", "rich"])
def test_importing_the_client_does_not_load(module: str) -> None:
    code = f"import sys, aioservices; print({module!r} in sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
