"""Whether a deploy that was not answered may be asked for again.

Pure: what happened is handed in.
"""

from collections.abc import Iterator

from aioservices.errors import APIError, ConnectionFailedError, RequestError, ResponseDecodeError

__all__ = ["has_acted", "is_refusal", "look_delays", "may_have_acted"]

_LOOKS = 5


def may_have_acted(error: RequestError) -> bool:
    """Tell whether there may be a deployment in spite of an error.

    Parameters
    ----------
    error : RequestError
        What asking for the deployment came to.
    """
    if isinstance(error, ConnectionFailedError):
        return error.sent
    if isinstance(error, APIError):
        return not is_refusal(error.status)
    return has_acted(error)


def is_refusal(status: int) -> bool:
    """Tell whether a status means that there is no deployment."""
    # 3xx: it went somewhere. 408: it took too long. 503: by contract it was turned away.
    return status == 503 or (400 <= status < 500 and status != 408)


def has_acted(error: RequestError) -> bool:
    """Tell whether there must be a deployment, although the answer could not be read."""
    return isinstance(error, ResponseDecodeError)


def look_delays(settle: float) -> Iterator[float]:
    """Yield the waits before each look for a deployment that may yet appear.

    Parameters
    ----------
    settle : float
        Seconds over which the looks are spread.

    Yields
    ------
    float
        Seconds: none before the first look, then each wait twice as long as the last.
    """
    yield 0.0
    parts = 2 ** (_LOOKS - 1) - 1
    for look in range(_LOOKS - 1):
        yield settle * 2**look / parts
