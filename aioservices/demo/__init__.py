"""The demo: a small fleet on this machine, deployed, followed and summed up.

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

    # A warning of the library's would be news to its user, and noise to a stranger.
    logging.getLogger("aioservices").addHandler(logging.NullHandler())
    return run(Story(Screen(sys.stdout)).play, ends_with_output=True)
