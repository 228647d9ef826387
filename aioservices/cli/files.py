"""What commands read from files and from standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .attributes import VARIABLES
from .errors import USAGE_ERROR, CommandError
from .targets import decoded

if TYPE_CHECKING:
    import yaml

__all__ = ["documents_in", "lines_of", "read_bytes"]


def read_bytes(name: str) -> bytes:
    """Read a file, or standard input if the name is ``-``.

    Raises
    ------
    CommandError
        If it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as exc:
        raise CommandError(f"{name}: {exc.strerror}", status=USAGE_ERROR) from None


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
        raise CommandError(f"{shown} is not text", status=USAGE_ERROR) from None


def lines_of(names: Iterable[str]) -> Iterator[str]:
    """Yield the lines of several files."""
    for name in names:
        yield from read_text(name).splitlines()


def documents_in(name: str) -> list[object]:
    """Read a YAML or JSON file: one document, or several.

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
        raise CommandError(f"{shown} is empty", status=USAGE_ERROR)
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

    class Loader(yaml.SafeLoader):
        """Reads environment variables as they are written: ``on`` and ``1.10`` are strings."""

        def compose_document(self) -> yaml.Node | None:
            document = super().compose_document()
            return document and _with_strings(document)

    try:
        return [each for each in yaml.load_all(text, Loader) if each is not None]
    except (yaml.YAMLError, RecursionError) as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(exc, "problem", None) or "it is neither YAML nor JSON"
        raise CommandError(f"{shown}{where}: {problem}", status=USAGE_ERROR) from None


_MERGED = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"
_TEXT = "tag:yaml.org,2002:str"


def _with_strings(node: yaml.Node, *, within: bool = False) -> yaml.Node:
    """Convert the environment variables in a document to strings.

    Nodes may be shared with other attributes: they stay as they are.

    Parameters
    ----------
    node : yaml.Node
        A document, or what is merged into it.
    within : bool
        Whether this is the mapping of variables itself.
    """
    import yaml

    def value_of(key: yaml.Node, value: yaml.Node) -> yaml.Node:
        if key.tag == _MERGED:
            return _with_strings(value, within=within)
        if within:
            return value if value.tag == _NULL else text_of(value)
        return _with_strings(value, within=True) if key.value == VARIABLES else value

    def text_of(node: yaml.Node) -> yaml.Node:
        if not isinstance(node, yaml.ScalarNode) or node.tag == _MERGED:
            return node
        return yaml.ScalarNode(_TEXT, node.value, node.start_mark, node.end_mark)

    if isinstance(node, yaml.SequenceNode):  # several are merged
        nodes = [_with_strings(each, within=within) for each in node.value]
        return yaml.SequenceNode(node.tag, nodes, node.start_mark, node.end_mark)
    if not isinstance(node, yaml.MappingNode):
        return node
    pairs = [(text_of(key) if within else key, value_of(key, value)) for key, value in node.value]
    return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)
