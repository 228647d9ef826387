"""How severe a line is, if it says so itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.stores.severity import severity_of


@pytest.mark.parametrize(
    ("message", "severity"),
    [
        ('{"level": "error", "msg": "x"}', 17),
        ('{"msg": "x", "severity": "WARNING"}', 13),
        ('{"level": 30, "msg": "pino"}', 9),
        ('{"level": 60}', 21),
        ('{"level": "none"}', None),
        ('{"level": true}', None),
        ('{"level": {"deep": 1}}', None),
        ('{"level": "error"', None),
        ("{not json} ERROR", None),
        ("ERROR: it broke", 17),
        ("[warn] careful", 13),
        ("<debug> x", 5),
        ("INFO starting", 9),
        ("2026-11-26 04:20:05,123 CRITICAL disk", 21),
        ("2026-11-26T04:20:05Z [info] ready", 9),
        ("[2026-11-26 04:20:05] ERROR x", 17),
        ("level=info", None),
        ("error handling was improved", None),
        ("Information is power", None),
        ("INFORMAL", None),
        ("", None),
    ],
)
def test_a_line_has_the_severity_that_it_gives_itself(message: str, severity: int | None) -> None:
    assert severity_of(message) == severity


@given(st.text() | st.text().map(lambda text: "{" + text))
def test_any_text_has_a_severity_of_opentelemetry_or_none(message: str) -> None:
    severity = severity_of(message)
    assert severity is None or 1 <= severity <= 24


def test_a_line_of_many_brackets_is_no_trouble() -> None:
    assert severity_of("{" + "[" * 60_000) is None
    assert severity_of('{"level":' * 5_000) is None
