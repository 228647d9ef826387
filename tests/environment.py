"""An environment of the suite's own, so that no test depends on the machine it runs on.

Tests, and the programs that they start, see none of the variables that somebody has set: no key, no
proxy, no colours, no language, no settings below a home directory. They see the signals as a
terminal hands them on, also where the suite runs in the background or below ``nohup``.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

# Where programs and libraries are found, and what belongs to the tools that run the tests.
KEPT = frozenset({"PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "USER", "VIRTUAL_ENV"})
KEPT_FAMILIES = ("COVERAGE_", "HYPOTHESIS_", "PIP_", "PYTEST_")


def clean(environment: Mapping[str, str], home: str) -> dict[str, str]:
    """Return the variables of an environment that the suite keeps, and those that it sets.

    Parameters
    ----------
    environment : mapping of str to str
        The variables of the machine.
    home : str
        A directory that is the suite's own.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if name in KEPT or name.startswith(KEPT_FAMILIES)
    }
    cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    # What pip has downloaded before is no setting, only time saved.
    downloads = {"PIP_CACHE_DIR": str(cache / "pip"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    own = {"HOME": home, "LANG": "C.UTF-8", "TERM": "xterm-256color", "TZ": "UTC"}
    return downloads | kept | own


def isolate() -> str:
    """Set the suite's own environment for this process and all that it starts.

    Returns
    -------
    str
        The home directory, for `leave` at the end.
    """
    home = tempfile.mkdtemp(prefix="aioservices-tests-")
    own = clean(os.environ, home)
    os.environ.clear()
    os.environ.update(own)
    if hasattr(time, "tzset"):
        time.tzset()
    # An ignored signal stays ignored in each program that is started from here.
    for name in ("SIGHUP", "SIGQUIT", "SIGTERM"):
        if (number := getattr(signal, name, None)) and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return home


def leave(home: str) -> None:
    """Remove the home directory."""
    with suppress(OSError):
        shutil.rmtree(home)
