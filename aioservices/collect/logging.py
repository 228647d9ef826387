"""The daemon's own log records, as text for people or as JSON for machines."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
import traceback

from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import format_instant

__all__ = ["start_logging"]


class _Text(logging.Formatter):
    """One line per record; with a traceback only if the level is DEBUG."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{record.levelname.lower()}: {one_line(record.getMessage())}"
        if record.exc_info and record.exc_info[1] is not None:
            line += f" ({type(record.exc_info[1]).__name__})"
            if logging.getLogger("aioservices").isEnabledFor(logging.DEBUG):
                line += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        return line


class _JSON(logging.Formatter):
    """One JSON object per record."""

    def format(self, record: logging.LogRecord) -> str:
        time = dt.datetime.fromtimestamp(record.created, dt.UTC)
        members = {
            "time": format_instant(time),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            members["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(members, ensure_ascii=False)


def start_logging(format: str, level: str) -> None:
    """Write all records to standard error.

    Parameters
    ----------
    format : {'text', 'json'}
    level : {'debug', 'info', 'warning', 'error'}
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSON() if format == "json" else _Text())
    logging.captureWarnings(True)
    # On the root logger, so that records of other libraries have the same format.
    logging.getLogger().addHandler(handler)
    logging.getLogger("aioservices").setLevel(level.upper())
    # Its errors are reported as errors of the store.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
