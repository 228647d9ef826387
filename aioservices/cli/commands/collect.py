"""The command that stores the logs of services: `collect`."""

from __future__ import annotations

from pathlib import Path

import anyio
import click

from aioservices.cli.arguments import examples
from aioservices.cli.console import has_cursor, note
from aioservices.cli.errors import CommandError
from aioservices.terminal.output import stderr
from aioservices.terminal.sanitize import one_line

__all__ = ["collect"]

_MISCONFIGURED = 78  # EX_CONFIG of sysexits.h: a service manager need not start it again


@click.command(
    "collect",
    short_help="Store the logs of services until it is stopped.",
    epilog=examples(
        "aioservices collect --store sqlite:logs.db",
        "aioservices collect 'web-*' batch --store sqlite:logs.db --keep 90d --keep-bytes 20GB",
        "aioservices collect --store sqlite:logs.db --forward otlp:http://127.0.0.1:4318",
        "aioservices collect --store postgresql://db/logs --listen 127.0.0.1:9100",
        "aioservices collect --config /etc/aioservices/collect.toml",
    ),
)
@click.argument("services", metavar="[SERVICE]...", nargs=-1)
@click.option(
    "--store",
    metavar="STORE",
    help="Where to store the lines: sqlite:PATH or postgresql://USER@HOST/DATABASE.",
)
@click.option(
    "--forward",
    multiple=True,
    metavar="TO",
    help="Forward stored lines to otlp:URL or jsonl:PATH. May be repeated. Without --store the "
    "daemon keeps lines in a small private store until they are forwarded.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Serve a page at /, and /livez, /readyz and /metrics.",
)
@click.option(
    "--listen-token-file",
    metavar="FILE",
    help="File with the token that the page requires; needed unless HOST is this machine only.",
)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file with any of these settings, as in: keep_bytes = '20GB'.",
)
@click.option("--keep", metavar="AGE", help="Remove lines that are older, such as 90d.")
@click.option(
    "--keep-bytes", metavar="SIZE", help="Remove the oldest lines of a larger store, such as 20GB."
)
@click.option(
    "--api-key-file",
    multiple=True,
    metavar="FILE",
    help="File with an API key, instead of CIVIS_API_KEY; read again when it changes. May be "
    "repeated: each key has its own rate limit.",
)
@click.option(
    "--url", "endpoint", metavar="URL", help="Address of the API, instead of CIVIS_API_ENDPOINT."
)
@click.option(
    "--status",
    metavar="STATUS",
    help="Only services with this status: running (default), idle, any.",
)
@click.option("--lease", metavar="S", help="Time until others take over from a dead daemon (30s).")
@click.option("--poll-interval", metavar="S", help="Time between two polls of a busy log (1s).")
@click.option("--max-poll-interval", metavar="S", help="The same for a quiet log (30s).")
@click.option("--overlap", metavar="S", help="How late a line may appear and still be read (60s).")
@click.option("--refresh", metavar="S", help="Time between two checks for new services (30s).")
@click.option(
    "--grace", metavar="S", help="How long to wait for late lines of a log that has ended."
)
@click.option(
    "--max-waiting-lines",
    metavar="N",
    help="Lines that may wait in memory, of all services together (200000).",
)
@click.option(
    "--log-format", metavar="FORMAT", help="Format of the daemon's own log: text or json."
)
@click.option(
    "--log-level", metavar="LEVEL", help="Level of that log: debug, info, warning or error."
)
@click.option("--check", is_flag=True, help="Only check the configuration.")
def collect(*, file: Path | None, check: bool, **options: object) -> int:
    """Store the logs of many services until it is stopped.

    SERVICE is an id, a name or a pattern such as 'web-*'; without any, all services are collected.
    Every line is stored once, even if the daemon is killed at any moment; several daemons may
    share a store in PostgreSQL. Each setting can also be in a TOML file or in a variable such as
    AIOSERVICES_KEEP_BYTES. An option overrides the variable, which overrides the file.

    At Ctrl-C or SIGTERM it stores what was read and ends; at SIGHUP it reads the keys again.
    """
    try:
        from aioservices.collect.config import ConfigError, read_config
        from aioservices.collect.logging import start_logging
        from aioservices.collect.process import run_daemon
        from aioservices.stores import StoreConfigError
    except ModuleNotFoundError as exc:
        raise CommandError(
            f"collect needs the package {exc.name}: pip install 'aioservices-civis[collect]'"
        ) from None
    try:
        config = read_config(options, file=file)
    except ConfigError as exc:
        for mistake in exc.mistakes:
            note(one_line(str(mistake)))
        return _MISCONFIGURED
    if check:
        note("the configuration is valid")
        return 0
    start_logging(config.log_format, config.log_level)
    screen = stderr()

    def show(line: str) -> None:
        screen.footer([_fitted(one_line(line), screen.columns)])

    async def main() -> None:
        await run_daemon(config, on_progress=show if has_cursor(screen) else None)

    try:
        anyio.run(main)
    except StoreConfigError as exc:
        note(one_line(str(exc)))
        return _MISCONFIGURED
    finally:
        screen.footer(())
    return 0


def _fitted(line: str, columns: int) -> str:
    """Cut a line so that it fits a terminal, with space for the ^C that it shows."""
    from rich.cells import cell_len, set_cell_size

    width = max(1, columns - len("^C") - 1)
    return line if cell_len(line) <= width else f"{set_cell_size(line, width - 1).rstrip()}…"
