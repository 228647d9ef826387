"""Fixtures that every test may use."""

import pytest
from hypothesis import settings

# A busy machine is not a bug.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
