"""Help as wide as the terminal: text is wrapped between words, commands are not broken."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import click

__all__ = ["HelpContext", "wrapped"]

_NARROW = 70  # columns below which explanations go on the next line
_HANGING = 6  # cells by which they are indented there
_COLUMNS = re.compile(r"(?P<left> +\S.*?)  +(?P<right>\S.*)")
_CONTINUATION = re.compile(r" {10,}\S")


class _Formatter(click.HelpFormatter):
    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write options or commands, each with its explanation."""
        if self.width < _NARROW:  # what is left beside a wide column would break words
            col_max = self.width // 4
        super().write_dl(rows, col_max=col_max, col_spacing=col_spacing)


class HelpContext(click.Context):
    """The context of every command: it decides what help looks like."""

    formatter_class = _Formatter


def wrapped(text: str, width: int) -> str:
    """Wrap a page of help.

    Paragraphs are wrapped. A line that starts with spaces is an example: it is not wrapped. The
    explanation next to it goes below if there is not enough space.

    Parameters
    ----------
    text : str
        Lines of a paragraph begin without a space, those of an example with two.
    width : int
        Cells of a line.
    """
    if max(map(len, text.splitlines()), default=0) <= width:
        return text
    return "".join(f"{line}\n" for block in _blocks(text) for line in _wrapped(block, width))


def _blocks(text: str) -> Iterator[list[str]]:
    """Yield paragraphs, examples with their continuation lines, and empty lines."""
    block: list[str] = []
    for line in text.splitlines():
        is_part = bool(block) and (
            _CONTINUATION.match(line)
            if block[0].startswith(" ")
            else line and not line.startswith(" ")
        )
        if block and not is_part:
            yield block
            block = []
        block.append(line)
        if not line:
            yield block
            block = []
    if block:
        yield block


def _wrapped(block: Sequence[str], width: int) -> list[str]:
    first = block[0]
    if not first.startswith(" "):
        return _lines(" ".join(block), width) or [""]
    columns = _COLUMNS.fullmatch(first)
    if columns is None or all(len(line) <= width for line in block):
        return list(block)
    explanation = " ".join([columns["right"], *(line.strip() for line in block[1:])])
    indent = " " * _HANGING
    return [columns["left"], *(indent + line for line in _lines(explanation, width - _HANGING))]


def _lines(text: str, width: int) -> list[str]:
    # Options must be easy to copy, so they are not broken at hyphens.
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
