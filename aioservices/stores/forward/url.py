"""Forwarders by URL."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from aioservices.stores.errors import StoreConfigError
from aioservices.stores.sizes import parse_size

from .jsonl import JSONLForwarder
from .protocol import Forwarder

__all__ = ["open_forwarder"]

_FORMS = "otlp:URL or jsonl:PATH"


def open_forwarder(url: str, *, headers: Mapping[str, str] | None = None) -> Forwarder:
    """Make the forwarder of a URL, without opening anything.

    Parameters
    ----------
    url : str
        ``otlp:http://HOST:4318`` or ``jsonl:PATH``, which may end in ``?rotate=100MB&keep=10``.
    headers : mapping of str to str, optional
        For OTLP: sent with every request.

    Returns
    -------
    Forwarder

    Raises
    ------
    StoreConfigError
        If the URL is not that of a forwarder, or a package that it needs is not installed.
    """
    if "\0" in url:
        raise StoreConfigError("the URL of a forwarder contains a NUL character")
    scheme, _, rest = url.partition(":")
    if scheme == "otlp":
        try:
            from .otlp import OTLPForwarder
        except ImportError as exc:
            raise StoreConfigError(
                "forwarding by OTLP needs opentelemetry-proto: "
                "pip install 'aioservices-civis[collect]'"
            ) from exc
        return OTLPForwarder(rest, headers=headers)
    if scheme == "jsonl":
        path, _, query = rest.partition("?")
        if not path or path.endswith("/"):
            raise StoreConfigError(f"{url} does not name a file: write jsonl:PATH")
        return JSONLForwarder(path, **_jsonl_options(query))
    raise StoreConfigError(f"{scheme or 'nothing'} is not a forwarder: write {_FORMS}")


def _jsonl_options(query: str) -> dict[str, int]:
    options: dict[str, int] = {}
    for name, values in parse_qs(query, keep_blank_values=True).items():
        if name == "rotate":
            options[name] = _rotate(values[-1])
        elif name == "keep" and values[-1].isascii() and values[-1].isdecimal():
            options[name] = int(values[-1])
        else:
            raise StoreConfigError(
                f"jsonl: has the options rotate=SIZE and keep=NUMBER, not {name}={values[-1]}"
            )
    return options


def _rotate(text: str) -> int:
    try:
        size = parse_size(text)
    except ValueError:
        size = 0
    if size == 0:
        raise StoreConfigError(f"rotate must be a size such as 100MB, not {text!r}")
    return size
