"""The severity of a line, if it contains one; pure."""

from __future__ import annotations

import re

import msgspec

__all__ = ["severity_of"]

# The numbers of OpenTelemetry's data model, which leaves the ones in between open.
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

# "[ERROR] ...", "WARNING: ...", "INFO - ...", also after a date and a time. A word in lower case
# counts only with a bracket or a colon: "error handling was improved" is not an error. The
# quantifiers are possessive (``++``), because every line is matched.
_LEADING = re.compile(
    r"\s*+(?:\[?+\d[\d:.,/TZ+-]*+\]?+\s?+){0,3}+\s*+"
    r"(?P<open>[\[<(]?+)(?P<word>[A-Za-z]++)(?:(?P<close>[\])>])|\s*(?P<label>[:=|])|(?P<end>\b))?"
)
_LONGEST_JSON = 65_536
_LEADING_PART = 80

# The scale of bunyan and pino, whose JSON lines have numeric levels.
_PINO_STEP = 10


class _Record(msgspec.Struct):
    level: object = None
    severity: object = None


_decode = msgspec.json.Decoder(_Record).decode


def severity_of(message: str) -> int | None:
    """Find the severity that a line contains.

    It is the field ``level`` or ``severity`` of a line that is a JSON object, or a leading word.
    That a line was written to standard error does not make it an error.

    Parameters
    ----------
    message : str

    Returns
    -------
    int or None
        1 to 24, as in OpenTelemetry; None if the line contains none.
    """
    if message.startswith("{"):
        return _from_json(message)
    found = _LEADING.match(message, 0, _LEADING_PART)
    if found is None or (number := _NAMES.get(found["word"].lower())) is None:
        return None
    if found["open"]:
        return number if found["close"] else None
    says_so = found["label"] or (found["word"].isupper() and found["end"] is not None)
    return number if says_so else None


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
