"""The demo: a small fleet on this machine that is deployed and followed, with a summary.

It needs nothing but the library itself.
"""

from __future__ import annotations

import logging
import sys

__all__ = ["main"]


def main() -> int:
    """Show the demo, inside `aioservices.terminal.run.program`.

    Returns
    -------
    int
        The exit status: 0, 1 if something that should have worked did not,
        130 after Ctrl-C.
    """
    from aioservices.terminal.run import run

    from .screen import Screen
    from .story import Story

    # The library's warnings help its users, but would only confuse somebody who tries the demo.
    logging.getLogger("aioservices").addHandler(logging.NullHandler())
    return run(Story(Screen(sys.stdout)).run, ends_with_output=True)
