"""What happens in the demo, act by act."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import aiohttp
import anyio

from aioservices._version import __version__
from aioservices.api.models import DeploymentSummary
from aioservices.client import Services
from aioservices.emulator import Emulator
from aioservices.http.options import ResponseInfo

from . import fleet
from .screen import Screen
from .summary import Account, shortcomings, summary
from .tally import Difference, Tally

__all__ = ["Story"]

_REDEPLOY_AFTER = 4.5  # seconds of following
_LAST = 9.0
_PATIENCE = 20.0
_VISITS = ("", "apples", "bread", "cheese", "dates", "unicorns")
_ENDED = {"terminated": "has finished", "failed": "has crashed"}
_NAME_WIDTH = max(map(len, fleet.PURPOSES))


class Story:
    """One performance.

    Parameters
    ----------
    screen : Screen
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._tally = Tally()
        self._news = anyio.Event()
        self._requests = 0
        self._visits = 0
        self._addresses: list[str] = []  # of the shop, one for each of its deployments
        self._names: dict[int, str] = {}
        self._seen: dict[int, DeploymentSummary] = {}
        self._deployments: dict[int, int] = {}  # whose each of them is
        self._failures: list[str] = []

    async def play(self) -> int:
        """Play it to the end.

        Returns
        -------
        int
            0, or 1 if something that should have worked did not.
        """
        begun = time.monotonic()
        screen = self._screen
        screen.line(screen.paint(f"aioservices {__version__}", "bold"))
        screen.line(
            "An emulator of the services API on this machine, with real programs as services."
        )
        async with (
            Emulator(stop_grace=0.5) as emulator,
            Services(emulator.api_key, base_url=emulator.url, trust_env=False) as services,
        ):
            services.on_response(self._count_request)
            for name in fleet.PURPOSES:
                self._names[emulator.add_service(name, command=fleet.command(name))] = name
            await self._deploy(services)
            difference = await self._follow(services)
        self._sum_up(difference, time.monotonic() - begun)
        return 1 if self._failures else 0

    async def _deploy(self, services: Services) -> None:
        """Deploy every service at once."""
        screen = self._screen
        self._heading("Deploying them all at once")
        total = len(self._names)
        screen.progress(0, total, "running")
        done = 0
        async for outcome in services.deploy_many(self._names, timeout=_PATIENCE):
            done += 1
            name = self._names[outcome.service_id]
            verdict = f"{screen.paint('running', 'good')} after {outcome.elapsed:.1f} s: "
            verdict += fleet.PURPOSES[name]
            if outcome.error is not None:
                verdict = screen.paint(f"failed: {outcome.error}", "bad")
                self._failures.append(f"{name} could not be deployed")
            screen.line(f"  {self._name(outcome.service_id)}  {verdict}")
            screen.progress(done, total, "running")
        screen.end_progress()

    async def _follow(self, services: Services) -> Difference:
        """Print what they write, while the shop is visited and deployed again."""
        self._heading("Following what they write, and visiting the shop")
        difference = Difference(0, 0)
        async with anyio.create_task_group() as group:
            group.start_soon(self._print_lines, services)
            group.start_soon(self._watch_states, services)
            group.start_soon(self._visit)
            await anyio.sleep(_REDEPLOY_AFTER)
            await self._redeploy(services)
            await anyio.sleep(_LAST - _REDEPLOY_AFTER)
            await self._until(self._is_complete)
            difference = await self._compare(services)
            group.cancel_scope.cancel()
        return difference

    async def _redeploy(self, services: Services) -> None:
        self._heading(f"Deploying {fleet.SHOP} again: the new one replaces the old one")
        async for outcome in services.deploy_many(
            [self._id(fleet.SHOP)], redeploy=True, timeout=_PATIENCE
        ):
            if outcome.error is not None:
                self._failures.append(f"{fleet.SHOP} could not be deployed again")

    async def _print_lines(self, services: Services) -> None:
        width = len("12:00:00 ") + _NAME_WIDTH + len("  ")
        async for watched in services.watch_logs(self._names, hold_back=1.0):
            entry = watched.entry
            message = entry.message or ""
            self._tally.add(watched.service_id, watched.deployment_id, entry)
            self._news.set()
            if watched.service_id == self._id(fleet.SHOP):
                self._addresses += re.findall(r"open at (http://\S+)", message)
            clock = entry.created_at.astimezone().strftime("%H:%M:%S")
            prefix = f"{self._screen.paint(clock, 'dim')} {self._name(watched.service_id)}  "
            style = "bad" if entry.stream == "stderr" else None
            self._screen.entry(prefix, width, message, style)

    async def _visit(self) -> None:
        """Visit the shop, at the address that it tells in its log."""
        async with aiohttp.ClientSession() as http:
            while True:
                for page in _VISITS:
                    await anyio.sleep(0.3)
                    if not self._addresses:
                        continue
                    try:
                        async with http.get(f"{self._addresses[-1]}/{page}") as answer:
                            await answer.read()
                    except aiohttp.ClientError:
                        continue  # the old one is closed, and the new one has not told yet
                    self._visits += 1

    async def _watch_states(self, services: Services) -> None:
        """Tell of the services that end."""
        while True:
            await self._look(services)
            await anyio.sleep(1)

    async def _look(self, services: Services) -> None:
        self._news.set()
        for service in await services.list(limit=50):
            now = service.current_deployment
            if now is None:
                continue
            before = self._seen.get(service.id)
            self._seen[service.id] = now
            self._deployments[now.deployment_id] = service.id
            if (before is None or before.state != now.state) and now.state in _ENDED:
                self._heading(f"{self._names[service.id]} {_ENDED[now.state]}: {now.state_message}")

    async def _compare(self, services: Services) -> Difference:
        """Compare the lines that arrive with the logs that the platform keeps."""
        written = {
            deployment_id: await services.list_deployments_logs(service_id, deployment_id)
            for deployment_id, service_id in self._deployments.items()
        }
        await self._until(lambda: not self._tally.compare(written).missing)
        return self._tally.compare(written)

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait until a line or a state makes something true, but not for ever."""
        with anyio.move_on_after(_PATIENCE):
            while not condition():
                self._news = anyio.Event()
                await self._news.wait()

    def _is_complete(self) -> bool:
        """Whether everything has happened that should."""
        ended = (self._seen.get(self._id(name)) for name in (fleet.BATCH_JOB, fleet.CRASHING))
        return len(self._addresses) == 2 and all(d and d.state in _ENDED for d in ended)

    def _sum_up(self, difference: Difference, seconds: float) -> None:
        self._heading("What happened")
        accounts = [self._account(service_id) for service_id in self._names]
        for line in summary(
            accounts,
            difference=difference,
            visits=self._visits,
            requests=self._requests,
            seconds=seconds,
        ):
            self._screen.paragraph(line)
        self._failures += shortcomings(accounts, difference=difference, visits=self._visits)
        for failure in self._failures:
            self._screen.line(
                self._screen.paint(f"This should not have happened: {failure}", "bad")
            )

    def _account(self, service_id: int) -> Account:
        return Account(
            name=self._names[service_id],
            lines=self._tally.lines[service_id],
            deployments=list(self._deployments.values()).count(service_id),
            current=self._seen.get(service_id),
            complaint=self._tally.last_complaint(service_id),
        )

    def _heading(self, text: str) -> None:
        self._screen.line(self._screen.paint(f"── {text}", "bold"))

    def _name(self, service_id: int) -> str:
        name = self._names[service_id]
        return self._screen.paint_name(name, list(fleet.PURPOSES).index(name), _NAME_WIDTH)

    def _id(self, name: str) -> int:
        return next(key for key, each in self._names.items() if each == name)

    def _count_request(self, _: ResponseInfo) -> None:
        self._requests += 1
