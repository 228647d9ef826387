"""Completions in the format that each shell expects."""

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
    split_arg_string,
)

__all__ = ["SHELLS"]

_ANY_CASE = "-M 'm:{[:lower:][:upper:]}={[:upper:][:lower:]}'"  # as names are looked up
_BREAKS = "=:"  # where bash splits words, besides the shell's own special characters
_SPECIAL = re.compile(r"([^\w%+,./:=@^-])")


class _WithOptions(ShellComplete):
    """Completion of ``--option=value`` by whole words, as shells put them on the line."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """Return the completions, with the option before its values."""
        found = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if not (equals and option.startswith("-")):
            return found
        return [
            CompletionItem(f"{option}={each.value}", each.type, each.help)
            if each.type == "plain"
            else each
            for each in found
        ]


class _Bash(_WithOptions, BashComplete):
    """Completion for bash, which does not quote what it puts on the line, and splits words itself.

    To bash ``team:web`` is three words, and a completion replaces only the last of them. So the
    script passes on the whole line, which is split here, and bash gets only the rest of each
    completion: what follows the words that it has split off.
    """

    # A backslash is kept, and what looks like a file pattern is left unchanged.
    source_template = (
        BashComplete.source_template.replace("read type", "read -r type")
        .replace("($value)", '("$value")')
        .replace("(env COMP", '(env COMP_LINE="${COMP_LINE:0:$COMP_POINT}" COMP')
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to complete, and what was typed of that one."""
        if not os.environ.get("COMP_LINE"):  # the script of an older release
            return super().get_completion_args()
        line = os.environ["COMP_LINE"]
        typed = _last_word(line)
        before = split_arg_string(line[: len(line) - len(typed)])
        return before[1:], _unquoted(typed)

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Format a completion, with a backslash before special characters of bash."""
        current = _current_word()
        typed = _last_word(os.environ.get("COMP_LINE", ""))
        value = str(item.value)
        value = value[len(_unquoted(_split_off(typed, current))) :]
        if not current.startswith(("'", '"')):  # else bash ends it with one, too
            value = _SPECIAL.sub(r"\\\1", value)
        return f"{item.type},{value}"


class _Zsh(_WithOptions, ZshComplete):
    """Completion for zsh, which compares what it is offered with what was typed.

    If it does not, as with click's ``-U``, it replaces what was typed by the common beginning of
    all offers: by nothing, if they differ in the case of their first letter.
    """

    source_template = ZshComplete.source_template.replace(
        "completions_with_descriptions -U", f"completions_with_descriptions {_ANY_CASE}"
    ).replace("compadd -U", f"compadd {_ANY_CASE}")


class _Fish(_WithOptions, FishComplete):
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


def _current_word() -> str:
    """Return the word that bash completes: a part of ours, if ours contains a colon."""
    words = os.environ.get("COMP_WORDS", "").split("\n")
    number = int(os.environ.get("COMP_CWORD", "0"))
    return words[number] if number < len(words) else ""


def _last_word(line: str) -> str:
    """Return the word at the end of a line, with its quotation marks."""
    start = 0
    quote = ""
    escaped = False
    for index, character in enumerate(line):
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character.isspace():
            start = index + 1
    return line[start:]


def _split_off(typed: str, current: str) -> str:
    """Return the part of a word that bash has split off before the one that it completes.

    Examples
    --------
    >>> _split_off("team:we", "we")
    'team:'
    >>> _split_off("team:", ":")
    'team:'
    >>> _split_off("team:we", "web")  # the cursor is before the last letter
    'team:'
    >>> _split_off("we", "we")
    ''
    """
    if current and not current.strip(_BREAKS):
        return typed  # nothing was typed of the next word
    for length in range(len(current), 0, -1):
        if typed.endswith(current[:length]):
            apart = typed[: len(typed) - length]
            return apart.removesuffix("@")  # with which a word of bash may start
    return ""


def _unquoted(word: str) -> str:
    """Return a word without its quotation marks, of which the last may be missing."""
    return "".join(split_arg_string(word)[:1])


add_completion_class(_Bash, name="bash")
add_completion_class(_Zsh, name="zsh")
add_completion_class(_Fish, name="fish")

SHELLS: Mapping[str, type[ShellComplete]] = {
    "bash": _Bash,
    "zsh": _Zsh,
    "fish": _Fish,
}
"""The shells that completion is known for, by name."""
