"""No secret is repeated, however a server quotes it."""

import html
import json
import re
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.http.redaction import redact, without_partial

QUOTINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON that keeps letters": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON within JSON": lambda text: json.dumps(json.dumps(text))[3:-3],
    "JSON within JSON within JSON": lambda text: json.dumps(json.dumps(json.dumps(text)))[7:-7],
    "JSON for a page": lambda text: (
        json.dumps(text).replace("<", "\\u003c").replace("&", "\\u0026")
    ),
    "Python's repr": repr,
    "Python's ascii": ascii,
    "Python's repr of bytes": lambda text: repr(text.encode()),
    "part of a path": lambda text: urllib.parse.quote(text, safe=""),
    "part of a query": urllib.parse.quote_plus,
    "part of a query within a query": lambda text: urllib.parse.quote(urllib.parse.quote(text)),
    "JSON in a query": lambda text: urllib.parse.quote(json.dumps(text)),
    "HTML": html.escape,
    "HTML in ASCII": lambda text: html.escape(text).encode("ascii", "xmlcharrefreplace").decode(),
    "JSON in HTML": lambda text: html.escape(json.dumps(text)),
}
SECRETS = st.text(
    st.one_of(st.sampled_from("\\\"'%&+; \n\tä<u\U0001f511"), st.characters(codec="utf-8")),
    min_size=4,
)


@pytest.mark.parametrize("quoting", QUOTINGS)
@pytest.mark.parametrize(
    "secret",
    [
        'pa"ss\\word99',
        "p'a\"s s",
        "l\u00e4ng-geheim",
        "two\nlines\t",
        "\\\\share\\",
        "\U0001f511key%20&<>",
        "%22+a",
    ],
)
def test_a_secret_is_hidden_however_it_is_quoted(quoting: str, secret: str) -> None:
    shown = redact(f"bad <{QUOTINGS[quoting](secret)}>", [secret])
    assert shown is not None
    # What is left of it are marks around it.
    assert re.fullmatch(
        r"bad <b?(?:['\"\\]|%22|%5C|&quot;)*\*\*\*(?:['\"\\]|%22|%5C|&quot;)*>", shown
    )


@given(st.sampled_from(sorted(QUOTINGS)), SECRETS)
def test_no_secret_is_repeated(quoting: str, secret: str) -> None:
    quoted = QUOTINGS[quoting](secret)
    text = redact(f"before {quoted} after", [secret])
    assert text is not None
    assert "***" in text
    assert secret.strip("\\*'\"") == "" or secret not in text


@given(st.sampled_from(sorted(QUOTINGS)), SECRETS, st.data())
def test_no_beginning_of_a_secret_is_left_where_a_text_was_cut(
    quoting: str, secret: str, data: st.DataObject
) -> None:
    quoted = QUOTINGS[quoting](secret)
    size = data.draw(st.integers(0, len(quoted)))
    text = redact(without_partial(f"before {quoted[:size]}", (secret,)), [secret])
    assert text is not None
    left = text.removeprefix("before ").replace("***", "")
    assert len(left) < 12 or left.strip("\\") == ""


@pytest.mark.parametrize("secret", ["\\" * 5000 + "a", "a\\" * 3000, "%25" * 3000, "&amp;" * 2000])
@pytest.mark.parametrize("size", [0.5, 0.9, 2])
def test_a_long_secret_of_marks_is_found_in_time_linear_in_the_text(
    secret: str, size: float
) -> None:
    text = (secret * 2)[: int(len(secret) * size)]
    shown = redact(without_partial(text, (secret,)), [secret])
    assert shown is not None
    assert secret not in shown
    assert (size < 1) or "***" in shown


@given(st.text(min_size=4), st.text(), st.text())
def test_a_secret_as_it_is_is_never_repeated(secret: str, before: str, after: str) -> None:
    text = redact(before + secret + after, [secret])
    assert text is not None
    assert secret not in text.replace("***", "\0") or set(secret) <= {"*"}


def test_a_short_secret_is_hidden_where_it_is_a_word() -> None:
    assert redact("DEBUG=1 is wrong, 10 is not", ["1"]) == "DEBUG=*** is wrong, 10 is not"


def test_the_longer_of_two_secrets_is_hidden_whole() -> None:
    assert redact("token abcdef", ["abcd", "abcdef"]) == "token ***"
