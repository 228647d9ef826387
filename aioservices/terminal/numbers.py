"""Numbers of things, in words."""

from __future__ import annotations

__all__ = ["quantity"]


def quantity(count: int, thing: str) -> str:
    """Write how many things there are.

    Examples
    --------
    >>> quantity(1, "line"), quantity(2500, "line")
    ('1 line', '2,500 lines')
    """
    return f"{count:,} {thing}" + ("" if count == 1 else "s")
