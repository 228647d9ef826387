"""Who we say we are: the API key, and the headers that name us."""

from __future__ import annotations

import os
import platform

from aioservices._version import __version__
from aioservices.errors import MissingAPIKeyError
from aioservices.validation import validate_type

__all__ = ["anonymous_headers", "job_headers", "validate_api_key"]


def validate_api_key(api_key: str | None) -> str:
    """Check an API key, or take it from the environment variable ``CIVIS_API_KEY``."""
    key = os.environ.get("CIVIS_API_KEY", "") if api_key is None else api_key
    if not validate_type(key, str, "api_key"):
        raise MissingAPIKeyError(
            "no API key: set the environment variable CIVIS_API_KEY, or give api_key"
        )
    if ":" in key or not key.isprintable() or " " in key:
        raise ValueError("the API key holds a character that no key has: a space, colon or newline")
    return key


def anonymous_headers(user_agent: str | None, http_client: str) -> dict[str, str]:
    """Headers that may go to any host."""
    own = f"aioservices/{__version__} (Python {platform.python_version()}; {http_client})"
    if user_agent is not None and (not user_agent.strip() or not user_agent.isprintable()):
        raise ValueError("user_agent must be one line of text")
    return {
        "User-Agent": f"{user_agent.strip()} {own}" if user_agent else own,
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
    }


def job_headers() -> dict[str, str]:
    """Headers that name the platform's job in which this runs, if it does."""
    job, run = os.environ.get("CIVIS_JOB_ID"), os.environ.get("CIVIS_RUN_ID")
    headers = {"X-Civis-Job-ID": job, "X-Civis-Run-ID": run}
    return {name: value for name, value in headers.items() if value}
