"""What completes a word, in the form that each shell expects."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

__all__ = ["SHELLS"]

_ANY_CASE = "-M 'm:{[:lower:][:upper:]}={[:upper:][:lower:]}'"  # as names are looked up
_SPECIAL = re.compile(r"([^\w%+,./:=@^-])")


class _Bash(BashComplete):
    """Completion for bash, which does not quote what it puts on the line."""

    # A backslash is kept, and what looks like a file pattern is left unchanged.
    source_template = BashComplete.source_template.replace("read type", "read -r type").replace(
        "($value)", '("$value")'
    )

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Format a completion, with a backslash before special characters of bash."""
        value = str(item.value)
        if not _is_quoted():
            value = _SPECIAL.sub(r"\\\1", value)
        return f"{item.type},{value}"


class _Zsh(ZshComplete):
    """Completion for zsh, which compares what it is offered with what was typed.

    If it does not, as with click's ``-U``, it replaces what was typed by the common beginning of
    all offers: by nothing, if they differ in the case of their first letter.
    """

    source_template = ZshComplete.source_template.replace(
        "completions_with_descriptions -U", f"completions_with_descriptions {_ANY_CASE}"
    ).replace("compadd -U", f"compadd {_ANY_CASE}")


class _Fish(FishComplete):
    """Completion for fish, of words and explanations that may have commas in them.

    Releases of click differ in the output and in the script that reads it; both are here.
    """

    source_template = """\
function %(complete_func)s
    set -l response (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) \\
        COMP_CWORD=(commandline -t) %(prog_name)s)
    for completion in $response
        set -l metadata (string split --max 1 "," $completion)
        if test $metadata[1] = "dir"
            __fish_complete_directories $metadata[2]
        else if test $metadata[1] = "file"
            __fish_complete_path $metadata[2]
        else if test $metadata[1] = "plain"
            echo $metadata[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Format a completion, with its explanation after a tab."""
        explanation = f"\t{' '.join(item.help.split())}" if item.help else ""
        return f"{item.type},{item.value}{explanation}"


def _is_quoted() -> bool:
    """Whether the word starts with a quotation mark, with which bash then ends it, too."""
    words = os.environ.get("COMP_WORDS", "").split("\n")
    number = int(os.environ.get("COMP_CWORD", "0"))
    return number < len(words) and words[number].startswith(("'", '"'))


add_completion_class(_Bash, name="bash")
add_completion_class(_Zsh, name="zsh")
add_completion_class(_Fish, name="fish")

SHELLS: Mapping[str, type[ShellComplete]] = {
    "bash": _Bash,
    "zsh": _Zsh,
    "fish": _Fish,
}
"""The shells that completion is known for, by name."""
