"""The board on a terminal that shows how far a fleet's deploy is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aioservices.api.models import Deployment
from aioservices.terminal.output import write_while_read

from .outcome import Verdict
from .render import console, state_style
from .times import in_words

__all__ = ["Board"]

_RESERVE = 4  # lines of the terminal that stay free
_REDRAWN_EVERY = 0.25  # seconds
_STATE_WIDTH = 9
_GAP = 2  # between two columns


class Board:
    """What is under way, below the lines of what is done; plain lines where there is no terminal.

    Parameters
    ----------
    names : mapping of int to str
        The services.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._done: list[Verdict] = []
        self._started: Mapping[int, Deployment | None] = {}
        self._since: dict[int, float] = {}
        self._console = console()
        self._live: Live | None = None
        self._drawing: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            # What is to be told on standard error stays there, unless it is this terminal.
            self._live = Live(
                console=self._console,
                get_renderable=self._draw,
                # A thread that draws would come between the lines that are told: they would be
                # drawn over, or rows of the board left among them.
                auto_refresh=False,
                redirect_stderr=console(stderr=True).is_terminal,
                transient=True,
            )
            self._live.start()
            self._drawing = await anyio.create_task_group().__aenter__()
            self._drawing.start_soon(self._redraw, self._live)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is None or self._drawing is None:
            return
        self._drawing.cancel_scope.cancel()
        try:
            await self._drawing.__aexit__(exc_type, exc, traceback)
        finally:
            self._live.stop()

    def follow(self, started: Mapping[int, Deployment | None]) -> None:
        """Show these deployments, from now on."""
        self._started = started

    async def tell(self, verdict: Verdict) -> None:
        """Print what became of one, to stay."""
        self._done.append(verdict)
        line = Text(verdict.line)
        style = "red" if not verdict.is_good else state_style(verdict.state)
        line.stylize(style, 0, len(verdict.word))
        if self._live is not None:
            self._console.print(line, soft_wrap=True)
            self._live.refresh()
            return
        with self._console.capture() as captured:
            self._console.print(line, soft_wrap=True)
        await write_while_read(captured.get())

    async def _redraw(self, live: Live) -> None:
        while True:
            live.refresh()
            await anyio.sleep(_REDRAWN_EVERY)

    def _draw(self) -> RenderableType:
        now = time.monotonic()
        done = {verdict.service_id for verdict in self._done}
        under_way = [each for each in list(self._started) if each not in done]
        for each in under_way:
            self._since.setdefault(each, now)
        waiting = len(self._names) - len(done) - len(under_way)
        shown = under_way[: max(1, self._console.height - _RESERVE)]
        times = {each: in_words(now - self._since[each]) for each in shown}
        longest = max(map(len, times.values()), default=0)
        room = self._console.width - _STATE_WIDTH - longest - 2 * _GAP
        table = Table.grid(padding=(0, _GAP))
        # Only the name gives way where not everything fits.
        table.add_column(no_wrap=True, width=_STATE_WIDTH)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(1, room))
        table.add_column(no_wrap=True, justify="right", min_width=longest)
        for each in shown:
            deployment = self._started.get(each)
            state = (deployment.state if deployment else None) or "asked for"
            table.add_row(
                Text(state, style=state_style(state) or "dim"),
                Text(self._names[each]),
                Text(times[each], style="dim"),
            )
        failed = sum(not verdict.is_good for verdict in self._done)
        parts = [f"{len(done)}/{len(self._names)}"]
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{len(under_way)} under way"] if under_way else []
        parts += [f"{waiting} to come"] if waiting else []
        bar = Table.grid(padding=(0, 1))
        bar.add_column(width=max(8, min(24, self._console.width // 4)))
        bar.add_column(no_wrap=True, overflow="ellipsis")
        bar.add_row(ProgressBar(len(self._names), len(done)), Text(", ".join(parts)))
        return Group(table, bar) if shown else bar
