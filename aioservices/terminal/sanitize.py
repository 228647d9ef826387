"""Makes untrusted text safe to print."""

from __future__ import annotations

import re

__all__ = ["one_line", "printable"]

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
# Control characters, changes of the text direction, and lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Make a text harmless to a terminal.

    Colours are removed, tabs become spaces, and everything else that a terminal would
    interpret is shown as in a Python literal. Line feeds stay.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> printable("\x1b[31mred\x1b[0m, \x1b]0;title\x07")
    'red, \\x1b]0;title\\x07'
    """
    if text.isascii() and text.isprintable():  # the usual case
        return text
    text = _COLOUR.sub("", text.replace("\r\n", "\n")).removesuffix("\r")
    if "\t" in text:
        text = text.expandtabs()
    return _UNSAFE.sub(_escaped, text)


def one_line(text: str) -> str:
    r"""Make a text harmless to a terminal, on one line.

    Examples
    --------
    >>> one_line("first\n  second")
    'first second'
    """
    return " ".join(printable(text).split())


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return {10: "\\n", 13: "\\r"}.get(code) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )
