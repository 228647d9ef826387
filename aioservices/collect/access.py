"""Who may read the daemon's page: a browser of this machine, or whoever has the token; pure.

A page on loopback is reached by every site that a browser has open, because browsers let any site
send requests to any address. Two headers that no site can forge tell them apart. ``Host`` is the
name in the address bar: a foreign name that was made to point to this machine (DNS rebinding) is
not one of ours. ``Origin``, or ``Sec-Fetch-Site``, says which site has sent a request: only the
page itself may. Where others can reach the address at all, a token is asked for as well.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from .address import Address

__all__ = ["COOKIE", "Access"]

COOKIE = "aioservices-token"
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Access:
    """Decides on requests for the page.

    Parameters
    ----------
    address : Address
        Where the daemon listens.
    token : str, optional
        What has to be presented. Without one only loopback is served.
    """

    def __init__(self, address: Address, token: str | None = None) -> None:
        self._address = address
        self._token = token

    def foreign(self, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Say why a request is refused that another site has had a browser send.

        Parameters
        ----------
        headers : mapping of str to str
            Of the request, without regard to case.

        Returns
        -------
        (int, str) or None
            Status and reason; None if it may be served.
        """
        host = headers.get("Host", "")
        if self._address.is_loopback and _hostname(host) not in _LOOPBACK_NAMES:
            return 403, "this is served to this machine only, under the name localhost"
        origin = headers.get("Origin")
        if origin is not None and _netloc(origin) != host.lower():
            return 403, "another site may not use this"
        # A link from elsewhere may lead to the page, but no site may embed it or call it.
        site, mode = headers.get("Sec-Fetch-Site"), headers.get("Sec-Fetch-Mode")
        if site in ("cross-site", "same-site") and mode != "navigate":
            return 403, "another site may not use this"
        return None

    def refusal(self, headers: Mapping[str, str], presented: str | None) -> tuple[int, str] | None:
        """Say why a request for the page is refused.

        Parameters
        ----------
        headers : mapping of str to str
            Of the request, without regard to case.
        presented : str or None
            The token that came with it, by cookie or as ``Authorization: Bearer``.

        Returns
        -------
        (int, str) or None
            Status and reason; None if it is served.
        """
        if (foreign := self.foreign(headers)) is not None:
            return foreign
        if self._token is not None and not self.is_token(presented):
            return 401, "open the page with its token: /?token=..."
        return None

    def is_token(self, presented: str | None) -> bool:
        """Compare a token with the right one, in a time that does not depend on how they differ."""
        return (
            self._token is not None
            and presented is not None
            # Bytes of a header that are no text have come as lone surrogates.
            and hmac.compare_digest(
                presented.encode("utf-8", "surrogatepass"), self._token.encode()
            )
        )


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
