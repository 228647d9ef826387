"""The command that explains: `help`, of commands and of topics."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from aioservices.cli.arguments import examples
from aioservices.cli.help_text import HelpContext, wrapped
from aioservices.cli.topics import TOPICS
from aioservices.terminal.output import stdout

__all__ = ["help_command"]


def _next_words(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the possible next words: commands and topics, or the commands of a group."""
    given: tuple[str, ...] = context.params.get("words") or ()
    inner = context.find_root()
    command = inner.command
    for word in given:
        chosen = command.get_command(inner, word) if isinstance(command, click.Group) else None
        if chosen is None:
            return []
        command, inner = chosen, HelpContext(chosen, info_name=word, parent=inner)
    found = {} if given else {name: topic.title for name, topic in TOPICS.items()}
    if isinstance(command, click.Group):
        for name in command.list_commands(inner):
            each = command.get_command(inner, name)
            if each is not None and not each.hidden:
                found[name] = each.get_short_help_str(limit=80)
    return [
        CompletionItem(name, help=text)
        for name, text in found.items()
        if name.startswith(incomplete)
    ]


@click.command(
    "help",
    short_help="Explain a command or a topic: " + ", ".join(TOPICS) + ".",
    epilog=examples("aioservices help start", "aioservices help key", "aioservices help logs"),
)
@click.argument("words", metavar="[COMMAND|TOPIC]...", nargs=-1, shell_complete=_next_words)
@click.pass_context
def help_command(context: click.Context, words: tuple[str, ...]) -> int:
    """Explain a command or a topic."""
    root = context.find_root()
    if not words:
        formatter = root.make_formatter()
        with formatter.section("Topics (aioservices help TOPIC)"):
            formatter.write_dl([(name, topic.title) for name, topic in TOPICS.items()])
        print(f"{root.get_help()}\n\n{formatter.getvalue()}", end="")
        return 0
    if len(words) == 1 and words[0] in TOPICS:
        out, text = stdout(), TOPICS[words[0]].text
        print(wrapped(text, out.columns) if out.is_terminal else text, end="")
        return 0
    command, path = root.command, [root.info_name or "aioservices"]
    inner = root
    for word in words:
        found = command.get_command(inner, word) if isinstance(command, click.Group) else None
        if found is None:
            known = ", ".join(TOPICS)
            raise click.UsageError(
                f"there is no command or topic {' '.join(words)!r}; topics are: {known}"
            )
        path.append(word)
        command, inner = found, HelpContext(found, info_name=word, parent=inner)
    if path[-1] == "emulator":
        command.main(["--help"], prog_name=" ".join(path), standalone_mode=False)
        return 0
    print(command.get_help(inner))
    return 0
