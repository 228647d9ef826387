r"""Hiding secrets in what a server says; pure.

Theory of operation
-------------------
A server that explains what is wrong with a request often quotes it, and rarely as it was sent: as
JSON within JSON, as source text of a programming language, as a part of a URL or of a page. There
``pa"ss`` is ``pa\"ss``, ``pa\\\"ss``, ``pa%22ss`` or ``pa&quot;ss``, and anyone can read it. So a
secret is looked for character by character, each in any form that it is commonly written in:

- as it is, with any number of backslashes before it (each quoting adds some)
- as an escape: ``\n``, ``\u00e4``, ``\u{e4}``, ``\xe4``, or two of them for one beyond ``\uffff``
- percent-encoded, once or again, and a space as ``+``
- as a reference of HTML: ``&quot;``, ``&#34;``, ``&#x22;``

Backslashes of the secret itself are a run of at least as many, which belongs to the character
behind it; so a run can be matched in one way only. Who knows the first 200 characters of a secret
knows enough of it: where these are found, all that follows and goes on with it is hidden, be it
whole or not. So the search takes time in proportion to the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["redact", "without_partial"]

_MASK = "***"
_LONGEST_WORD = 3  # characters of a secret that is hidden only where it is a word
_MOST_SEARCHED = 200  # characters of a secret that must be found to hide it
_LONGEST_FORM = 48  # characters that one of a secret may be written with
_PARTIAL_FORM = re.compile(rf"[\\%&][\\%&#0-9A-Za-z{{]{{0,{_LONGEST_FORM}}}")
_BACKSLASH = r"(?:\\|%(?:25)*5[Cc]|&#92;)"
_ESCAPED = r"(?:(?<=\\)|(?<=5[Cc])|(?<=&#92;))"  # behind a backslash
_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\a": "a", "\0": "0"}
# What may begin a form that is not the character itself.
_MARKS = frozenset("\\%&+")


def redact(text: str | None, secrets: Iterable[str]) -> str | None:
    """Replace every secret in a text by ``***``, however it is quoted there.

    Secrets of one to three characters are replaced only as whole words, so that a
    value such as ``1`` does not make the message unreadable.
    """
    if not text:
        return text
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        if len(secret) <= _LONGEST_WORD:
            text = re.sub(rf"(?<!\w){''.join(_forms(secret))}(?!\w)", _MASK, text)
        elif _MARKS.isdisjoint(text):
            text = text.replace(secret, _MASK)
        else:
            text = _mask(text, list(_forms(secret)))
    return text


def _mask(text: str, forms: list[str]) -> str:
    beginning = re.compile("".join(forms[:_MOST_SEARCHED]))
    shown: list[str] = []
    end = 0
    while match := beginning.search(text, end):
        shown += text[end : match.start()], _MASK
        end, _ = _end_of(text, match.end(), forms[_MOST_SEARCHED:])
    return "".join([*shown, text[end:]])


def _end_of(text: str, begin: int, forms: list[str]) -> tuple[int, bool]:
    """Return how far a text continues with a secret's parts, and whether it has all of them."""
    for form in forms:
        match = re.compile(form).match(text, begin)
        if match is None:
            return begin, False
        begin = match.end()
    return begin, True


def without_partial(text: str, secrets: tuple[str, ...]) -> str:
    """Remove a secret's beginning, however it is quoted, from the end of a text that was cut."""
    return text[: min((_cut_at(text, secret) for secret in secrets if secret), default=len(text))]


def _cut_at(text: str, secret: str) -> int:
    """Return where the beginning of a secret stands that reaches to the end of a text.

    One of more than 200 characters is hidden by `redact`.
    """
    forms = list(_forms(secret[:_MOST_SEARCHED]))
    earliest = max(0, len(text) - len(forms) * _LONGEST_FORM)
    for first in re.compile(forms[0]).finditer(text, earliest):
        end, is_whole = _end_of(text, first.end(), forms[1:])
        if not is_whole and (end == len(text) or _PARTIAL_FORM.fullmatch(text, end)):
            return first.start()
    return len(text)


def _forms(secret: str) -> Iterator[str]:
    """Yield patterns of a secret's parts: each is a character and the backslashes before it."""
    backslashes = 0
    for character in secret:
        if character == "\\":
            backslashes += 1
            continue
        before = f"{_BACKSLASH}{{{backslashes},}}"
        yield f"{before}(?:{'|'.join(_forms_of(character))})"
        backslashes = 0
    if backslashes:
        yield f"{_BACKSLASH}{{{backslashes},}}"


def _forms_of(character: str) -> Iterator[str]:
    """Yield patterns of one character, without the backslashes before it."""
    from html.entities import codepoint2name  # seldom needed, and slow to load

    number = ord(character)
    yield re.escape(character)
    if character == " ":
        yield r"\+"
    if character in _ESCAPES:
        yield _ESCAPED + _ESCAPES[character]
    units = character.encode("utf-16-be", "surrogatepass").hex()
    pairs = (units[index : index + 4] for index in range(0, len(units), 4))
    yield _ESCAPED + f"{_BACKSLASH}+".join(f"u(?i:{pair})" for pair in pairs)
    yield rf"{_ESCAPED}u\{{0*(?i:{number:x})\}}"
    if number > 0xFFFF:
        yield rf"{_ESCAPED}U(?i:{number:08x})"
    elif number < 0x100:
        yield rf"{_ESCAPED}x(?i:{number:02x})"
    octets = character.encode(errors="surrogatepass")
    yield "".join(f"%(?:25)*(?i:{octet:02x})" for octet in octets)
    if number > 0x7F:  # as the source text of bytes
        yield _ESCAPED + f"{_BACKSLASH}+".join(f"x(?i:{octet:02x})" for octet in octets)
    yield rf"&(?:amp;)*#(?:[xX]0*(?i:{number:x})|0*{number});"
    name = codepoint2name.get(number)
    if name is not None:
        yield f"&(?:amp;)*{name};"
