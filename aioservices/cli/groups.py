"""Commands that hold other commands."""

from __future__ import annotations

import difflib

import click

__all__ = ["Group"]


class Group(click.Group):
    """A group that suggests a command if the named one does not exist."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name; see `click.Group`."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            close = difflib.get_close_matches(args[0], self.commands, n=1)
            meant = f": did you mean {close[0]}?" if close else ""
            raise click.UsageError(f"there is no command {args[0]!r}{meant}", ctx) from None
