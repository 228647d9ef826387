"""Everything that users read runs as it stands."""

import inspect
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import aioservices
import aioservices.emulator
import aioservices.stores
from aioservices import Services
from aioservices.api.endpoints import Endpoints
from aioservices.emulator import Emulator
from tests.pages import PAGES, ROOT, Block, Reader, blocks, is_endless, readings
from tests.servers.waiting import PATIENCE

# A docstring's example that never ends by itself may run for so long.
SHORT = 1.0
# What the pages take for granted on the platform: most the emulator of the tutorial, as it is.
TUTORIAL: dict[str, Any] = {
    "services": 3,
    "deployed": True,
    "pending_for": 0.01,
    "log_interval": 0.5,
}
# The page of the command line says that its names and ids stand for those of the reader.
NAMED = {"docs/command-line.md": ("dashboard", "web-shop", "web-search", "batch-1", "batch-2")}


def docstring_examples() -> list[Any]:
    found = []
    for name, member in inspect.getmembers(Services):
        text = inspect.getdoc(member) or ""
        if not name.startswith("_") and (
            match := re.search(r"Examples\n-+\n::\n\n(.*)", text, re.DOTALL)
        ):
            found.append(pytest.param(textwrap.dedent(match[1]), id=name))
    return found


@pytest.fixture
async def platform(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Emulator]:
    """The platform of the docstrings: 45 services that write lines, and one that is idle."""
    async with Emulator(**TUTORIAL | {"services": 45}) as emulator:
        emulator.add_service("spare")
        emulator.log(42, "a line")
        use(emulator, monkeypatch)
        yield emulator


def use(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell programs of the platform as a reader does."""
    monkeypatch.setenv("CIVIS_API_KEY", emulator.api_key)
    monkeypatch.setenv("CIVIS_API_ENDPOINT", emulator.url)


@pytest.fixture
async def names(platform: Emulator) -> AsyncIterator[dict[str, Any]]:
    """What the examples of docstrings take for granted."""
    async with Services() as services:
        service = await services.get(42)
        assert service.current_deployment is not None
        token = await services.post_tokens(42, "old")
        await services.put_projects(42, 1)
        await services.put_shares_users(42, [2], "read")
        await services.put_shares_groups(42, [1], "read")
        yield {
            **{name: getattr(aioservices, name) for name in aioservices.__all__},
            **{name: getattr(aioservices.stores, name) for name in aioservices.stores.__all__},
            "services": services,
            "emulator": platform,
            "deployment_id": service.current_deployment.deployment_id,
            "user_id": 2,
            "group_id": 1,
            "project_id": 1,
            "token_id": token.id,
            "keep": str,
        }


@pytest.mark.parametrize("code", docstring_examples())
async def test_the_example_of_a_docstring_runs(
    code: str, names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where an example may leave a file
    endless = is_endless(code)
    finished = False
    with anyio.move_on_after(SHORT if endless else PATIENCE):
        exec(f"async def example():\n{textwrap.indent(code, '    ')}", names)
        await names["example"]()
        finished = True
    assert finished or endless


def test_every_endpoint_has_an_example() -> None:
    endpoints = set(dir(Endpoints))
    shown = {example.id for example in docstring_examples()}
    assert {name for name in endpoints if not name.startswith("_")} <= shown


# Types that users meet but never name: the reference says of each what it can do.
UNNAMED = {"LogBatches", "RawServices", "Forwarder"}


def test_a_member_of_a_public_class_that_users_cannot_name_the_types_of_is_marked() -> None:
    packages = [aioservices, aioservices.emulator, aioservices.stores]
    public = {name for package in packages for name in package.__all__}
    unmarked = {
        f"{holder.__name__}.{name}: {kind}"
        for package in packages
        for holder in map(vars(package).get, package.__all__)
        if inspect.isclass(holder)
        for name, member in vars(holder).items()
        if not name.startswith("_")
        and "Not part of the public interface." not in str(member.__doc__)
        for kind in our_types_of(member) - public - UNNAMED
    }
    assert unmarked == set()


def our_types_of(member: Any) -> set[str]:
    """Give the names of our classes in the signature of a method or of a property."""
    function = getattr(member, "fget", getattr(member, "__func__", member))
    annotations = " ".join(map(str, getattr(function, "__annotations__", {}).values()))
    known = getattr(function, "__globals__", {})
    return {
        name
        for name in re.findall(r"\w+", annotations)
        if inspect.isclass(kind := known.get(name)) and kind.__module__.startswith("aioservices")
    }


# One whose deploy waits as long as a lost answer is waited for by default.
SLOW = ["docs/how-to/test.md"]


@pytest.mark.parametrize(
    "reading",
    [
        pytest.param(blocks, id=name, marks=[pytest.mark.slow] * (name in SLOW))
        for name, blocks in readings().items()
    ],
)
async def test_every_code_block_of_a_page_runs(
    reading: list[Block], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = NAMED.get(str(reading[0].page.relative_to(ROOT)), ())
    async with Emulator(**TUTORIAL | {"services": 45 if named else 3}) as emulator:
        for name in named:
            emulator.log(emulator.add_service(name, deployed=True), "a line")
        use(emulator, monkeypatch)
        reader = Reader(tmp_path, dict(os.environ), emulator)
        commands = "\n".join(block.text for block in reading if block.language == "console")
        for block in reading:
            try:
                await reader.read(block)
            except Exception as error:
                raise AssertionError(f"{block.place} does not run: {error}") from error
            if block.title and block.language == "python":
                assert block.title in commands, f"{block.place}: no command runs {block.title}"


def test_every_program_of_a_page_has_right_types(tmp_path: Path) -> None:
    for page in PAGES:
        for block in blocks(page):
            # In a notebook `await` may stand alone, which type checkers do not know.
            if block.language == "python" and not re.search(
                r"^await |= await ", block.text, re.MULTILINE
            ):
                name = block.title or re.sub(r"\W+", "_", block.place) + ".py"
                (tmp_path / name).write_text(block.text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
