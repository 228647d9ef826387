"""Sizes as people write them; pure."""

from __future__ import annotations

__all__ = ["parse_size"]

_DECIMAL = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS = _DECIMAL | {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_LONGEST_TEXT = 40


def parse_size(text: str) -> int:
    """Read a size such as ``1000000``, ``500MB``, ``1.5 GB`` or ``20GiB``.

    Parameters
    ----------
    text : str

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ValueError
        If it is not a size, or is too large.

    Examples
    --------
    >>> parse_size("1.5GB")
    1500000000
    """
    plain = text.strip().lower().replace(" ", "")
    number = plain.rstrip("abcdefghijklmnopqrstuvwxyz")
    try:
        size = float(number) * _UNITS[plain[len(number) :]]
    except (ValueError, KeyError):
        size = -1.0
    if not 0 <= size < 2**63:  # NaN is neither
        shown = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
        raise ValueError(f"{shown!r} is not a size: write it as 500MB or 20GB")
    return int(size)
