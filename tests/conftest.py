"""Fixtures that every test may use."""

import os

import pytest
from hypothesis import settings

# A busy machine is not a bug.
settings.register_profile("patient", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "patient"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
