"""The appearance of output on a terminal and in a pipe."""

from __future__ import annotations

import io
import os

import click
from rich.cells import cell_len
from rich.console import Console, RenderableType

from aioservices.terminal.output import Output, stderr, stdout

__all__ = [
    "coloured",
    "encodable",
    "has_cursor",
    "note",
    "rendered",
    "sentence",
    "state_style",
    "would",
]

_STATE_STYLES = {
    "running": "green",
    "sleeping": "green",
    "pending": "yellow",
    "queued": "yellow",
    "failed": "red",
    "terminated": "dim",
}
_ENDLESS = 1_000_000  # cells
_ELLIPSIS = "…"


def note(text: str) -> None:
    """Report something on standard error, in a separate line; a terminal's are wrapped by words."""
    stderr().post(f"{sentence(f'aioservices: {text}', stderr())}\n")


def sentence(text: str, out: Output) -> str:
    """Wrap a line between words if it is for a terminal."""
    return _by_words(text, out.columns) if out.is_terminal else text


def would(action: str) -> None:
    """Print what a command would do."""
    print(sentence(f"would {action}", stdout()))


def _by_words(text: str, width: int) -> str:
    r"""Wrap a line between words.

    Parameters
    ----------
    text : str
        A word that is wider than a line, such as an address, is left to the terminal.
    width : int
        Cells of a line.

    Examples
    --------
    >>> _by_words("no service is called web", 15)
    'no service is\n  called web'
    """
    lines = [""]
    for number, word in enumerate(text.split(" ")):
        extended = f"{lines[-1]} {word}" if number else word
        if number and cell_len(extended) > width >= cell_len(f"  {word}"):
            lines.append(f"  {word}")
        else:
            lines[-1] = extended
    return "\n".join(lines)


def has_cursor(output: Output) -> bool:
    """Return whether lines that were written can be replaced."""
    return output.is_terminal and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


def coloured() -> bool:
    """Return whether colours may be used on standard output.

    ``--color`` decides, then ``NO_COLOR`` and ``FORCE_COLOR``; otherwise a terminal has colours.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.color is not None:
        return context.color
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or has_cursor(stdout())


def rendered(renderable: RenderableType, *, width: int | None = None) -> str:
    """Render something for standard output, with its last line feed.

    Parameters
    ----------
    renderable : rich renderable
        Nothing in a text is taken for markup.
    width : int, optional
        Where to wrap lines. Default: nowhere.
    """
    colours = coloured()
    console = Console(
        # Nothing is written here; its encoding decides which characters bars consist of.
        file=io.TextIOWrapper(io.BytesIO(), encoding=stdout().encoding, errors="backslashreplace"),
        width=_ENDLESS if width is None else width,
        markup=False,
        emoji=False,
        highlight=False,
        force_terminal=colours,
        color_system="standard" if colours else None,
        legacy_windows=False,
        _environ={},
    )
    with console.capture() as captured:
        console.print(renderable, soft_wrap=width is None)
    return encodable(captured.get())


def encodable(text: str) -> str:
    """Replace ellipses that standard output cannot show; they are always one cell wide."""
    try:
        _ELLIPSIS.encode(stdout().encoding)
    except UnicodeEncodeError:
        return text.replace(_ELLIPSIS, "~")
    return text


def state_style(state: str | None) -> str:
    """Return the style of a state."""
    return _STATE_STYLES.get(state or "", "")
