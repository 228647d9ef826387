"""The code blocks of the documentation, and how they are run.

A section, or a whole page where files are saved, is read from top to bottom by one reader in one
folder: what a block with a title says is saved there under that name, and a later command may run
it. Python blocks are whole programs.
"""

import ast
import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import CodeType

import anyio

from aioservices.emulator import Emulator
from tests.servers.programs import Ended, start
from tests.servers.waiting import PATIENCE, until

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^( *)```(\S*)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
# Commands of other programs, which are not ours to test.
_OTHERS = ("cat", "cd", "docker", "eval", "export", "git", "make", "pip", "source", "sudo")
_SETUP = re.compile(r"\.venv/bin/pip|python3? -m (pip|venv) |_AIOSERVICES_COMPLETE")
# Programs that run until they are stopped.
_ENDLESS = re.compile(r"logs .*-f\b|aioservices watch|emulator|collect |demo")
# What a shell does something with, unless it stands in single quotes.
_OF_A_SHELL = re.compile(r"[$`|&;<>(){}*?#~!\\]")


@dataclass(frozen=True)
class Block:
    """A code block: where it stands, its language, its title if it has one, and its text."""

    page: Path
    section: str
    line: int
    language: str
    title: str | None
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}, line {self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page."""
    source = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(source):
        indent, language, info, text = match.groups()
        title = re.search(r'title="([^"]+)"', info)
        text = re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)
        before = source[: match.start()]
        section = (_HEADING.findall(before) or ["top"])[-1]
        line = before.count("\n") + 1
        found.append(Block(page, section, line, language, title and title[1], text))
    return found


def readings() -> dict[str, list[Block]]:
    """Return the units that run together: a section, or a page that saves files or requests it."""
    found: dict[str, list[Block]] = {}
    for page in PAGES:
        asks = "<!-- tests: one reading -->" in page.read_text(encoding="utf-8")
        whole = asks or any(block.title for block in blocks(page))
        for block in blocks(page):
            name = str(page.relative_to(ROOT)) + ("" if whole else f" ({block.section})")
            found.setdefault(name, []).append(block)
    return found


def program(text: str, name: str) -> CodeType:
    """Compile a program; in a notebook `await` may stand outside of functions."""
    code: CodeType = compile(text, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


def is_endless(text: str) -> bool:
    """Whether a program follows a log, and so is repeated forever."""
    follows = "tail_logs(" in text or "watch_logs(" in text or ".collect(" in text
    return follows and "follow=False" not in text and "    break" not in text


class Reader:
    """Runs what a page shows, in a separate folder.

    Parameters
    ----------
    folder : Path
        Where its files are, which is the working directory.
    environment : dict of str to str
        The variables that its programs see.
    emulator : Emulator
        The API that they call.
    """

    def __init__(self, folder: Path, environment: dict[str, str], emulator: Emulator) -> None:
        self.folder = folder
        self.emulator = emulator
        # The interpreter's own programs are found first, as in an active virtual environment.
        path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        self.environment = environment | {"PATH": path, "PYTHONPATH": str(ROOT)}

    async def read(self, block: Block) -> None:
        """Do what a block says."""
        assert block.text.strip()
        if block.title:
            (self.folder / block.title).write_text(block.text, encoding="utf-8")
        match block.language:
            case "python" if block.title:
                program(block.text, block.place)  # a command runs it
            case "python":
                await self.run(block)
            case "console":
                for command in re.findall(r"^\$ ((?:.*\\\n)*.*)$", block.text, re.MULTILINE):
                    await self.command(command)
            case "json":
                json.loads(block.text)
            case "toml":
                tomllib.loads(block.text)
            case "yaml" | "text" | "ini" | "dockerfile":
                pass
            case _:
                raise AssertionError(f"a block in no known language: {block.language!r}")

    async def run(self, block: Block) -> None:
        """Run a program to its end, or if it has none, until it prints what it read in a log."""
        output = StringIO()
        before = self._log_requests()
        with redirect_stdout(output):
            task = asyncio.create_task(_execute(block))
            if is_endless(block.text):
                await until(lambda: self._log_requests() > before or task.done())
                printed = len(output.getvalue())
                await until(lambda: len(output.getvalue()) > printed or task.done())
                task.cancel()
            with anyio.fail_after(PATIENCE):
                await asyncio.wait([task])
        if not task.cancelled():
            task.result()
        # What a daemon stores is not awaited here, so there may be nothing in a store yet.
        assert output.getvalue() or "open_store(" in block.text, (
            "prints nothing: what it looks for is not there"
        )

    def _log_requests(self) -> int:
        return sum(each.path.endswith("/logs") for each in self.emulator.requests)

    async def command(self, line: str) -> None:
        """Run a command to its end, or if it has none, until it has printed something."""
        # Any free port, so that nothing of the machine is in the way.
        line = re.sub(r"(--port |127\.0\.0\.1:)\d+", r"\g<1>0", line)
        line = re.sub(r" +# .*", "", line)
        if line.split()[0] in _OTHERS or _SETUP.match(line):
            return
        endless = bool(_ENDLESS.search(line)) and "--help" not in line
        words = re.sub(r"'[^']*'", "", line)
        if line.startswith("aioservices ") and not _OF_A_SHELL.search(words):
            ended = await self._copy(shlex.split(line)[1:], endless)
        else:
            ended = await self._shell(line, endless)
        assert ended.status in {0, 128 + signal.SIGINT}, f"{line}: {ended}"
        assert "Traceback" not in ended.output, ended.output

    async def _copy(self, arguments: list[str], endless: bool) -> Ended:
        """Run a command of ours that needs nothing of a shell."""
        environment = {k: v for k, v in self.environment.items() if not k.startswith("PYTHON")}
        with start(
            *arguments, environment=environment, folder=self.folder, errors=subprocess.STDOUT
        ) as program:
            first = ""
            if endless:
                first = await program.readline()
                program.send_signal(signal.SIGINT)
            ended = await program.end()
        return Ended(ended.status, first + ended.output)

    async def _shell(self, line: str, endless: bool) -> Ended:
        process = await asyncio.create_subprocess_exec(
            *("/bin/bash", "-c", f"exec {line}" if " | " not in line else line),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            with anyio.fail_after(PATIENCE):
                if endless:
                    output = await process.stdout.readline()
                    os.killpg(process.pid, signal.SIGINT)
                else:
                    output = b""
                output += await process.stdout.read()
                status = await process.wait()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
        return Ended(status, output.decode(errors="replace"))


async def _execute(block: Block) -> None:
    text = block.text.replace("asyncio.run(main())", "await main()")
    if "asyncio.run" in text:  # it starts its own event loops
        code = compile(text, block.place, "exec")
        await anyio.to_thread.run_sync(exec, code, {"__name__": "__main__"})
        return
    running = eval(program(text, block.place), {"__name__": "__main__"})
    if running is not None:  # it awaits something
        await running
