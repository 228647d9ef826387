"""How severe a line is, if it says so itself; pure."""

from __future__ import annotations

import re

import msgspec

__all__ = ["severity_of"]

# The numbers of OpenTelemetry's data model; what is between them is a matter of taste there too.
_TRACE, _DEBUG, _INFO, _WARN, _ERROR, _FATAL = 1, 5, 9, 13, 17, 21

_NAMES = {
    "trace": _TRACE,
    "verbose": _TRACE,
    "debug": _DEBUG,
    "info": _INFO,
    "information": _INFO,
    "notice": _INFO + 1,
    "warn": _WARN,
    "warning": _WARN,
    "error": _ERROR,
    "err": _ERROR,
    "severe": _ERROR,
    "critical": _FATAL,
    "crit": _FATAL,
    "alert": _FATAL + 1,
    "fatal": _FATAL,
    "panic": _FATAL,
    "emerg": _FATAL + 2,
    "emergency": _FATAL + 2,
}

# "[ERROR] ...", "WARNING: ...", "INFO - ...", also behind a date and a time. A word in lower case
# counts only with a bracket or a colon: "error handling was improved" is no error.
_WORDS = "|".join(sorted(_NAMES, key=len, reverse=True))
_LEADING = re.compile(
    r"\s*(?:\[?\d[\d:.,/TZ+-]*\]?[ T]?){0,2}\s*(?:"
    rf"[\[<(](?P<bracketed>(?i:{_WORDS}))[\])>]"
    rf"|(?P<labelled>(?i:{_WORDS}))\s*[:=|]"
    rf"|(?P<upper>{_WORDS.upper()})\b)"
)
_LONGEST_JSON = 65_536
_LEADING_PART = 80

# The scale of bunyan and pino: JSON lines with a number for a level.
_PINO_STEP = 10


class _Record(msgspec.Struct):
    level: object = None
    severity: object = None


_decode = msgspec.json.Decoder(_Record).decode


def severity_of(message: str) -> int | None:
    """Find the severity that a line gives itself.

    From the field ``level`` or ``severity`` of a line that is a JSON object, or from a
    leading word. Standard error alone is no error.

    Parameters
    ----------
    message : str

    Returns
    -------
    int or None
        1 to 24, as OpenTelemetry numbers them; None if the line says nothing.
    """
    if message.startswith("{"):
        return _from_json(message)
    found = _LEADING.match(message[:_LEADING_PART])
    return _NAMES[(found[found.lastgroup or 0]).lower()] if found else None


def _from_json(message: str) -> int | None:
    if len(message) > _LONGEST_JSON:
        return None
    try:
        record = _decode(message)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    for value in (record.level, record.severity):
        if isinstance(value, str) and (number := _NAMES.get(value.lower())):
            return number
        if isinstance(value, int) and not isinstance(value, bool):
            step, rest = divmod(value, _PINO_STEP)
            if rest == 0 and 1 <= step <= 6:
                return 4 * step - 3
    return None
