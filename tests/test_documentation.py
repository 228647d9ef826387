"""Every example that users read is run as it stands."""

import inspect
import re
import textwrap
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import anyio
import pytest

import aioservices
from aioservices import Services
from aioservices.api.endpoints import Endpoints
from aioservices.emulator import Emulator

ROOT = Path(__file__).parent.parent
# What never ends by itself may run for so long; everything else must have ended by then.
SHORT = 1.0
LONG = 30.0


def docstring_examples() -> list[Any]:
    found = []
    for name, member in inspect.getmembers(Services):
        text = inspect.getdoc(member) or ""
        if not name.startswith("_") and (
            match := re.search(r"Examples\n-+\n::\n\n(.*)", text, re.DOTALL)
        ):
            found.append(pytest.param(textwrap.dedent(match[1]), id=name))
    return found


def page_examples() -> list[Any]:
    block = re.compile(r"```python\n(.*?)```", re.DOTALL)
    return [
        pytest.param(code, id=f"{page.name}-{number}")
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
        for number, code in enumerate(block.findall(page.read_text()), 1)
    ]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(services=45, deployed=True, pending_for=0.01) as emulator:
        emulator.log(42, "a line")
        yield emulator


@pytest.fixture
async def names(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[dict[str, Any]]:
    """What the examples take for granted."""
    monkeypatch.setenv("CIVIS_API_KEY", emulator.api_key)
    monkeypatch.setenv("CIVIS_API_ENDPOINT", emulator.url)
    monkeypatch.chdir(tmp_path)
    async with Services() as services:
        service = await services.get(42)
        assert service.current_deployment is not None
        token = await services.post_tokens(42, "old")
        await services.put_projects(42, 1)
        await services.put_shares_users(42, [2], "read")
        await services.put_shares_groups(42, [1], "read")
        cursor = tmp_path / "cursor.json"
        async with services.tail_logs(42) as tail:
            await anext(tail)
            cursor.write_text(tail.cursor.to_json())

        async def store(entry: object) -> None:
            assert entry

        yield {
            **{name: getattr(aioservices, name) for name in aioservices.__all__},
            "services": services,
            "emulator": emulator,
            "deployment_id": service.current_deployment.deployment_id,
            "user_id": 2,
            "group_id": 1,
            "project_id": 1,
            "token_id": token.id,
            "keep": str,
            "store": store,
            "path": cursor,
        }


async def run(code: str, names: dict[str, Any]) -> None:
    endless = "tail_logs" in code or "watch_logs" in code
    finished = False
    with anyio.move_on_after(SHORT if endless else LONG):
        await execute(code, names)
        finished = True
    assert finished or endless


async def execute(code: str, names: dict[str, Any]) -> None:
    if "asyncio.run(main())" in code:
        program = compile(code.replace("asyncio.run(main())", ""), "<example>", "exec")
        exec(program, names)
        main: Coroutine[Any, Any, None] = names["main"]()
    else:
        exec(f"async def example():\n{textwrap.indent(code, '    ')}", names)
        main = names["example"]()
    await main


@pytest.mark.parametrize("code", docstring_examples())
async def test_the_example_of_a_docstring_runs(code: str, names: dict[str, Any]) -> None:
    await run(code, names)


@pytest.mark.parametrize("code", page_examples())
async def test_the_example_of_a_page_runs(code: str, names: dict[str, Any]) -> None:
    await run(code, names)


def test_every_endpoint_has_an_example() -> None:
    endpoints = set(vars(Endpoints))
    shown = {example.id for example in docstring_examples()}
    assert {name for name in endpoints if not name.startswith("_")} <= shown
