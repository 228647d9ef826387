"""The programs of services, as the owner of an emulator passes them."""

import os
from collections.abc import Mapping, Sequence
from os import PathLike

from aioservices.emulator.arguments import check_text
from aioservices.emulator.state import Program

__all__ = ["parse_program"]


def parse_program(
    command: Sequence[str], env: Mapping[str, str], cwd: str | PathLike[str] | None
) -> Program:
    """Check a program now, because nobody would see an error at its start."""
    if isinstance(command, str | bytes):
        raise TypeError(
            "command must be a sequence of strings: use shlex.split() for a command line"
        )
    words = tuple(_check_argument(word, f"command[{i}]") for i, word in enumerate(command))
    if not words:
        raise ValueError("command must have a program as its first word")
    for name, value in env.items():
        if "=" in _check_argument(name, "env") or not name:
            raise ValueError(f"env must have names without '=', not {name!r}")
        _check_argument(value, f"env[{name!r}]")
    return Program(
        words, dict(env), None if cwd is None else _check_argument(os.fspath(cwd), "cwd")
    )


def _check_argument(text: str, name: str) -> str:
    if "\0" in check_text(text, name):
        # Without the text: it may be the value of a variable, and secret.
        raise ValueError(f"{name} must not have a null character in it")
    return text
