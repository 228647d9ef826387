"""How requests identify their sender: the API key, and headers."""

from __future__ import annotations

import base64
import os
import platform

from multidict import istr

from aioservices._version import __version__
from aioservices.errors import MissingAPIKeyError
from aioservices.validation import validate_type

from .secret import SecretStr

__all__ = ["anonymous_headers", "authorization", "job_headers", "validate_api_key"]


def validate_api_key(api_key: str | None) -> SecretStr:
    """Check an API key, or take it from the environment variable ``CIVIS_API_KEY``.

    Raises
    ------
    MissingAPIKeyError
        If there is none.
    ValueError
        If it cannot be one. The message names the source of the key, but does not repeat it.
    """
    source = "api_key"
    if api_key is None:
        source, api_key = "CIVIS_API_KEY", os.environ.get("CIVIS_API_KEY", "")
    key = SecretStr(validate_type(api_key, str, "api_key"))
    api_key = key
    if not key:
        raise MissingAPIKeyError(
            "no API key: set the environment variable CIVIS_API_KEY, or pass api_key"
        )
    if not (key.isascii() and key.isprintable()) or ":" in key or " " in key:
        raise ValueError(
            f"{source} is not an API key: it contains a space, a colon, a line break or another "
            "character that no key has"
        )
    return key


def authorization(api_key: str) -> SecretStr:
    """Make the value of the header ``Authorization``: the key as user name, without password."""
    return SecretStr(f"Basic {base64.b64encode(f'{api_key}:'.encode()).decode()}")


def anonymous_headers(user_agent: str | None, http_client: str) -> dict[str, str]:
    """Headers that may go to any host."""
    own = f"aioservices/{__version__} (Python {platform.python_version()}; {http_client})"
    if user_agent is not None:
        user_agent = validate_type(user_agent, str, "user_agent").strip()
        if not user_agent or not user_agent.isprintable():
            raise ValueError("user_agent must be one line of text")
    return {
        istr("User-Agent"): f"{user_agent} {own}" if user_agent else own,
        istr("Accept"): "application/json",
        istr("Accept-Encoding"): "gzip, deflate",
    }


def job_headers() -> dict[str, str]:
    """Headers that name the platform's job in which this runs, if it does.

    Raises
    ------
    ValueError
        If the value of an environment variable is not possible in a header.
    """
    headers: dict[str, str] = {}
    for variable, header in (
        ("CIVIS_JOB_ID", "X-Civis-Job-ID"),
        ("CIVIS_RUN_ID", "X-Civis-Run-ID"),
    ):
        if value := os.environ.get(variable):
            if not (value.isascii() and value.isprintable()) or value != value.strip():
                raise ValueError(
                    f"{variable} must be the identifier of a job or run, such as 42: it holds a "
                    "space, a line break or another character that no identifier has"
                )
            headers[istr(header)] = value
    return headers
