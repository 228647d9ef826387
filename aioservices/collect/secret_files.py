"""Files that contain one secret: an API key, or the token of the page."""

from __future__ import annotations

from pathlib import Path

from aioservices.errors import MissingAPIKeyError
from aioservices.http.auth import validate_api_key

__all__ = ["read_api_key", "read_token"]

_LONGEST = 10_000  # bytes of a file
_SHORTEST_TOKEN = 16


def read_api_key(path: Path) -> str:
    """Read an API key from its file.

    Parameters
    ----------
    path : Path
        A file with only the key; surrounding white space is ignored.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it cannot be read, or contains no valid key. The message never shows the content.
    """
    text = _read(path)
    try:
        return validate_api_key(text)
    except (MissingAPIKeyError, ValueError):
        raise ValueError(f"{path} must contain exactly one API key, on one line") from None


def read_token(path: Path) -> str:
    """Read the token of the page from its file.

    Parameters
    ----------
    path : Path
        A file with only the token; surrounding white space is ignored.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it cannot be read, or contains no valid token. The message never shows the content.
    """
    text = _read(path)
    if len(text) < _SHORTEST_TOKEN or not text.isprintable() or " " in text:
        raise ValueError(
            f"{path} must contain only a token of {_SHORTEST_TOKEN} characters or more, on one line"
        )
    return text


def _read(path: Path) -> str:
    """Read a short text file."""
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST + 1)
        if len(text) > _LONGEST:
            raise ValueError(f"{path} is longer than {_LONGEST:,} bytes")
        return text.decode("utf-8-sig").strip()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file") from None
