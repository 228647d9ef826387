"""The line that says how the collecting goes, below the records of the daemon's log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.cells import cell_len

from aioservices.collect.status_line import StatusLine
from aioservices.emulator import Emulator
from aioservices.fleet.collecting import CollectorStatus
from tests.servers.terminal import on_terminal, shown_on


def test_it_says_how_many_lines_a_second_were_kept() -> None:
    rates = StatusLine(100.0)
    line = rates.render(CollectorStatus(ready=True, reasons=(), lines=500, leases=40), 105.0)
    assert line == "100 lines/s, 40 services"


def test_one_of_a_kind_is_no_plural() -> None:
    status = CollectorStatus(ready=True, reasons=(), leases=1, waiting=1, gaps=1)
    line = StatusLine(0.0).render(status, 0.0)
    assert line == "0 lines/s, 1 service, 1 line waiting for the store, 1 gap"


def test_what_is_wrong_comes_first_because_the_end_may_be_cut_off() -> None:
    status = CollectorStatus(reasons=("the store is away", "the key is refused"), waiting=12)
    assert StatusLine(0.0).render(status, 0.0) == (
        "NOT READY: the store is away (and 1 more), 0 lines/s, 0 services, "
        "12 lines waiting for the store"
    )


@pytest.mark.parametrize("columns", [20, 50, 80, 200])
async def test_it_fits_a_terminal_and_ctrl_c_leaves_nothing_of_it(
    emulator: Emulator, tmp_path: Path, columns: int
) -> None:
    # A name of two columns a character, in what is said about the store.
    environment = os.environ | {"CIVIS_API_KEY": emulator.api_key}
    with on_terminal(
        "collect", "--store", f"sqlite:{tmp_path}/logs.db", "--url", emulator.url,
        "--forward", f"jsonl:{tmp_path}/収集/{'収' * 30}.jsonl",
        environment=environment, columns=columns, rows=30,
    ) as terminal:  # fmt: skip
        await terminal.until("NOT READY")
        lines = shown_on(terminal.text, rows=30)
        assert any(line.startswith("NOT READY") for line in lines)
        assert all(cell_len(line) < columns for line in lines if line.startswith("NOT READY"))
        terminal.type("\x03")
        ended = await terminal.end()
        assert ended.status == 0
        assert not any("NOT READY: " in line for line in shown_on(terminal.text, rows=30)[-1:])
