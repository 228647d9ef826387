"""A small disk of our own, which can be full."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

_BYTES = 4 << 20


class SmallDisk:
    """A disk of a few megabytes.

    Parameters
    ----------
    path : Path
        Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filling = path / "filling"

    def fill(self) -> None:
        """Leave no free space."""
        with contextlib.suppress(OSError), self._filling.open("ab", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        assert shutil.disk_usage(self.path).free == 0

    def free_space(self) -> None:
        """Free the space that `fill` has taken."""
        self._filling.unlink()


@contextmanager
def small_disk() -> Generator[SmallDisk]:
    """Mount a disk in memory, which needs Linux and root; skip the test elsewhere."""
    with tempfile.TemporaryDirectory(prefix="aioservices-disk-") as directory:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_BYTES}", "none", directory]
        try:
            subprocess.run(mount, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"a small disk cannot be mounted here: {error}")
        try:
            yield SmallDisk(Path(directory))
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)
