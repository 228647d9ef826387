"""Fixtures that every test may use."""

import os

import pytest
from hypothesis import settings

settings.register_profile("thorough", max_examples=2_000, deadline=None)
if profile := os.environ.get("HYPOTHESIS_PROFILE"):
    settings.load_profile(profile)
from hypothesis import settings

# A busy machine is not a bug.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
