"""The problems that an audit reports about a service, in words; pure."""

from __future__ import annotations

__all__ = ["duplicate_lines", "duplicate_numbers", "wrong_count"]


def wrong_count(lines: int, removed: int, seq: int) -> str:
    """Describe missing or additional lines."""
    return f"{lines:,} lines are stored and {removed:,} were removed, of {seq:,} in total"


def duplicate_numbers(count: int) -> str:
    """Describe lines with the number of another line."""
    return f"{count:,} lines have the same number as another line"


def duplicate_lines(count: int) -> str:
    """Describe lines that are stored more than once."""
    return f"{count:,} lines are stored more than once"
