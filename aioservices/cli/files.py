"""What commands read from files and from standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from .errors import MISUSED, CommandError
from .targets import decoded

__all__ = ["documents_in", "lines_of", "read_bytes"]


def read_bytes(name: str) -> bytes:
    """Read a file, or standard input where it is called ``-``.

    Raises
    ------
    CommandError
        If it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as exc:
        raise CommandError(f"{name}: {exc.strerror}", status=MISUSED) from None


def read_text(name: str) -> str:
    """Read a text in any Unicode encoding.

    Raises
    ------
    CommandError
        If it cannot be read, or is not text.
    """
    try:
        return decoded(read_bytes(name))
    except UnicodeDecodeError:
        shown = "standard input" if name == "-" else name
        raise CommandError(f"{shown} is not text", status=MISUSED) from None


def lines_of(names: Iterable[str]) -> Iterator[str]:
    """Give the lines of several files."""
    for name in names:
        yield from read_text(name).splitlines()


def documents_in(name: str) -> list[object]:
    """Read what a YAML or JSON file holds: one document, or several.

    Several are lines of JSON, as ``get --json`` writes them, or YAML with ``---`` in between.

    Raises
    ------
    CommandError
        If it is neither, or empty.
    """
    text = read_text(name)
    shown = "standard input" if name == "-" else name
    documents = _json_documents(text)
    if documents is None:
        documents = _yaml_documents(text, shown)
    if not documents:
        raise CommandError(f"{shown} is empty", status=MISUSED)
    return documents


def _json_documents(text: str) -> list[object] | None:
    """Read JSON, or lines of JSON; None if it is not JSON."""
    for parts in ([text], [line for line in text.splitlines() if line.strip()]):
        try:
            return [json.loads(part) for part in parts]
        except (ValueError, RecursionError):
            continue
    return None


def _yaml_documents(text: str, shown: str) -> list[object]:
    try:
        import yaml  # slow to load, and seldom needed
    except ModuleNotFoundError:
        raise CommandError(
            f"{shown} is not JSON, and YAML needs the package pyyaml: "
            "install aioservices-civis[cli]"
        ) from None
    try:
        return [each for each in yaml.safe_load_all(text) if each is not None]
    except (yaml.YAMLError, RecursionError) as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(exc, "problem", None) or "it is neither YAML nor JSON"
        raise CommandError(f"{shown}{where}: {problem}", status=MISUSED) from None
