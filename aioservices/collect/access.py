"""Who may read the daemon's page: browsers on this machine, or those with the token; pure.

Every site that is open in a browser can send requests to a page on loopback, because browsers
allow requests to any address. Two headers, which no site can forge, distinguish them. ``Host`` is
the name in the address bar: another name that was made to resolve to this machine (DNS rebinding)
is rejected. ``Origin``, or ``Sec-Fetch-Site``, says which site has sent a request: only the page
itself may. If other machines can reach the address, a token is required as well.
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
        The token that requests must have. Without one only loopback is served.
    """

    def __init__(self, address: Address, token: str | None = None) -> None:
        self._address = address
        self._token = token

    def reject_cross_site(self, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Return why a request is rejected that another site has made the browser send.

        Parameters
        ----------
        headers : mapping of str to str
            Headers of the request; names are case-insensitive.

        Returns
        -------
        (int, str) or None
            Status and reason; None if it is allowed.
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

    def reject(self, headers: Mapping[str, str], presented: str | None) -> tuple[int, str] | None:
        """Return why a request for the page is rejected.

        Parameters
        ----------
        headers : mapping of str to str
            Headers of the request; names are case-insensitive.
        presented : str or None
            Its token, from the cookie or from ``Authorization: Bearer``.

        Returns
        -------
        (int, str) or None
            Status and reason; None if it is allowed.
        """
        if (rejection := self.reject_cross_site(headers)) is not None:
            return rejection
        if self._token is not None and not self.is_token(presented):
            return 401, "open the page with its token: /?token=..."
        return None

    def is_token(self, presented: str | None) -> bool:
        """Compare a token with the valid one in constant time."""
        return (
            self._token is not None
            and presented is not None
            # Header bytes that are not valid UTF-8 are decoded to lone surrogates.
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
