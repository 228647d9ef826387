"""The progress of a fleet's deploy on a terminal; plain lines where there is none."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aioservices.api.models import Deployment
from aioservices.terminal.output import stdout
from aioservices.terminal.times import format_duration

from .console import encodable, has_cursor, rendered, state_style
from .labels import Labels
from .outcome import Outcome

__all__ = ["DeployProgress"]

_RESERVE = 4  # lines of the terminal that are kept free
_REDRAWN_EVERY = 0.25  # seconds
_STATE_WIDTH = 9
_GAP = 2  # between two columns


class DeployProgress:
    """The deploys in progress, below a line for each finished service.

    Nothing here waits for the terminal: the deploys continue even if nobody reads it.

    Parameters
    ----------
    names : mapping of int to str
        The services.
    started : mapping of int to Deployment or None
        The requested deployments by service, which are added while they are requested.
    """

    def __init__(self, names: Mapping[int, str], started: Mapping[int, Deployment | None]) -> None:
        self._names = names
        self._started = started
        self._done: list[Outcome] = []
        self._since: dict[int, float] = {}
        self._output = stdout()
        self._drawing: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        if has_cursor(self._output):
            self._drawing = await anyio.create_task_group().__aenter__()
            self._drawing.start_soon(self._redraw_periodically)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._drawing is None:
            return
        self._drawing.cancel_scope.cancel()
        try:
            await self._drawing.__aexit__(exc_type, exc, traceback)
        finally:
            self._output.footer(())

    def show(self, outcome: Outcome) -> None:
        """Print the outcome of one service permanently."""
        self._done.append(outcome)
        line = Text(outcome.line)
        style = "red" if not outcome.is_good else state_style(outcome.state)
        line.stylize(style, 0, len(outcome.word))
        self._output.post(rendered(line))
        self._draw()

    async def _redraw_periodically(self) -> None:
        while True:
            self._draw()
            await anyio.sleep(_REDRAWN_EVERY)

    def _draw(self) -> None:
        if self._drawing is not None:
            width = self._output.columns
            self._output.footer(rendered(self._render(width), width=width).splitlines())

    def _render(self, width: int) -> RenderableType:
        now = time.monotonic()
        done = {outcome.service_id for outcome in self._done}
        under_way = [each for each in list(self._started) if each not in done]
        for each in under_way:
            self._since.setdefault(each, now)
        waiting = len(self._names) - len(done) - len(under_way)
        shown = under_way[: max(1, self._output.rows - _RESERVE)]
        times = {each: format_duration(now - self._since[each]) for each in shown}
        longest = max(map(len, times.values()), default=0)
        space = width - _STATE_WIDTH - longest - 2 * _GAP
        table = Table.grid(padding=(0, _GAP))
        # If not everything fits, only the name is shortened, in its middle.
        labels = Labels(widest=max(4, space), ellipsis=encodable("…"))
        labels.expect({each: self._names[each] for each in shown})
        table.add_column(no_wrap=True, width=_STATE_WIDTH)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(1, space))
        table.add_column(no_wrap=True, justify="right", min_width=longest)
        for each in shown:
            deployment = self._started.get(each)
            state = (deployment.state if deployment else None) or "requested"
            table.add_row(
                Text(state, style=state_style(state) or "dim"),
                Text(labels.label(each, self._names[each])),
                Text(times[each], style="dim"),
            )
        failed = sum(not outcome.is_good for outcome in self._done)
        parts = [f"{len(done)}/{len(self._names)}"]
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{len(under_way)} under way"] if under_way else []
        parts += [f"{waiting} to come"] if waiting else []
        bar = Table.grid(padding=(0, 1))
        bar.add_column(width=max(8, min(24, width // 4)))
        bar.add_column(no_wrap=True, overflow="ellipsis")
        bar.add_row(ProgressBar(len(self._names), len(done)), Text(", ".join(parts)))
        return Group(table, bar) if shown else bar
