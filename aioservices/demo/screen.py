"""The screen of the demo: lines that stay, above a progress bar."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Mapping
from typing import TextIO

from aioservices.terminal.sanitize import printable

__all__ = ["Screen"]

_PALETTE = ("36", "32", "35", "33", "94", "96")
_STYLES = {"bold": "1", "dim": "2", "good": "32", "bad": "31"}
_CLEAR = "\r\x1b[2K"
_STEP = 40  # width of a command in the list of next steps


class Screen:
    """Standard output as a terminal, or as the plain text that a pipe gets.

    Parameters
    ----------
    out : text file
    environment : mapping
        Contains ``NO_COLOR`` and ``TERM``, if they are set.
    """

    def __init__(self, out: TextIO, environment: Mapping[str, str] = os.environ) -> None:
        self._out = out
        self._live = out.isatty() and environment.get("TERM") != "dumb"
        self._colour = self._live and not environment.get("NO_COLOR")
        self._bar = "█░" if "utf" in (out.encoding or "").lower() else "#."
        self._footer = ""

    def paint(self, text: str, style: str) -> str:
        """Give a text a style: ``bold``, ``dim``, ``good`` or ``bad``."""
        return self._painted(text, _STYLES[style])

    def paint_name(self, name: str, number: int, width: int) -> str:
        """Colour the name of the service of that number, padded to a width."""
        return self._painted(f"{name:<{width}}", _PALETTE[number % len(_PALETTE)])

    def line(self, text: str = "") -> None:
        """Write a line."""
        self._write(f"{_CLEAR if self._footer else ''}{text}\n{self._footer}")

    def heading(self, text: str) -> None:
        """Write a heading."""
        for line in self._wrapped(f"── {text}", indent="   "):
            self.line(self.paint(line, "bold"))

    def paragraph(self, text: str) -> None:
        """Write a text; on a terminal it is wrapped between words."""
        indent = " " * (len(text) - len(text.lstrip()) + 2)
        for line in self._wrapped(text, indent=indent):
            self.line(line)

    def step(self, command: str, purpose: str) -> None:
        """Write a command and its purpose: side by side, or one below the other."""
        if not self._live or self._columns() >= _STEP + len(purpose):
            self.line(f"  {self.paint(f'{command:<{_STEP - 2}}', 'bold')}{purpose}")
            return
        self.line(f"  {self.paint(command, 'bold')}")
        for line in self._wrapped(f"    {purpose}", indent="    "):
            self.line(line)

    def entry(self, prefix: str, prefix_width: int, text: str, style: str | None = None) -> None:
        """Write a line after a prefix; on a terminal it is wrapped and indented by the prefix."""
        text = printable(text)
        lines = [text]
        if self._live:
            width = max(20, self._columns() - prefix_width)
            lines = textwrap.wrap(text, width, drop_whitespace=False, break_on_hyphens=False)
        for number, part in enumerate(lines or [""]):
            head = prefix if number == 0 else " " * prefix_width
            self.line(head + (self.paint(part, style) if style else part))

    def outcome(self, prefix: str, prefix_width: int, word: str, rest: str, *, style: str) -> None:
        """Write a styled word and a text after a prefix; wrapped and indented by the prefix."""
        lines = [f"{word} {printable(rest)}"]
        if self._live:
            lines = textwrap.wrap(lines[0], max(20, self._columns() - prefix_width))
        lines[0] = self.paint(word, style) + lines[0][len(word) :]
        self.line(prefix + f"\n{' ' * prefix_width}".join(lines))

    def progress(self, done: int, of: int, note: str) -> None:
        """Show a progress bar, on a terminal only."""
        if not self._live:
            return
        width = 24
        filled = width * done // of
        bar = self._bar[0] * filled + self._bar[1] * (width - filled)
        self._footer = f"  {bar} {done}/{of} {note}"[: self._columns() - 1]
        self._write(_CLEAR + self._footer)

    def end_progress(self) -> None:
        """Remove the progress bar."""
        if self._footer:
            self._footer = ""
            self._write(_CLEAR)

    def _wrapped(self, text: str, *, indent: str) -> list[str]:
        if not self._live:
            return [text]
        return textwrap.wrap(text, self._columns(), subsequent_indent=indent) or [""]

    def _columns(self) -> int:
        return shutil.get_terminal_size().columns

    def _painted(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
