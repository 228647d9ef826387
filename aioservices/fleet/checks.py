"""Checks of what a caller passes."""

import math

__all__ = ["check_seconds"]


def check_seconds(value: float, name: str, *, zero: bool = False) -> float:
    """Refuse anything but a number of seconds.

    Parameters
    ----------
    value : float
        The seconds.
    name : str
        Name of the parameter, for the message.
    zero : bool, default False
        Whether none at all will do.

    Returns
    -------
    float
        The seconds.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is negative, or not a number that can be waited for.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if math.isnan(value) or value < 0 or (value == 0 and not zero):
        bound = "0 or more" if zero else "more than 0"
        raise ValueError(f"{name} must be {bound} seconds, not {value}")
    return value
