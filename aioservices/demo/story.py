"""The acts of the demo: deploy, follow, survive an outage, deploy again, sum up."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Callable

import aiohttp
import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream

from aioservices._version import __version__
from aioservices.client import Services
from aioservices.emulator import Emulator, Reset, Respond
from aioservices.http.options import ResponseInfo
from aioservices.tail.status import (
    DeploymentEnded,
    DeploymentStarted,
    EventHook,
    OutageEnded,
    OutageStarted,
    TailEvent,
)
from aioservices.terminal.times import format_instant

from . import fleet
from .screen import Screen
from .summary import NEXT_STEPS, ServiceReport, find_shortcomings, summarize
from .tally import Difference, Tally

__all__ = ["Story"]

_OUTAGE_AFTER = 2.5  # seconds of following
_OUTAGE = 2.0
_REDEPLOY_AFTER = 2.0  # seconds after the outage
_REST = 1.5
_TIMEOUT = 30.0
_VISITS = ("", "apples", "bread", "cheese", "dates", "unicorns")
_ENDINGS = {"terminated": "has finished", "failed": "has crashed"}
_NAME_WIDTH = max(map(len, fleet.PURPOSES))


class Story:
    """One run of the demo.

    Parameters
    ----------
    screen : Screen
        Where it is printed.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._tally = Tally()
        self._changed = anyio.Event()
        self._requests = 0
        self._visits = 0
        self._visit_lines = 0  # lines that the shop wrote about visits
        self._is_closing = False  # set to end the visits
        self._is_visited = True
        self._addresses: list[str] = []  # of the shop, one for each of its deployments
        self._names: dict[int, str] = {}
        self._deployments: dict[int, int] = {}  # the service of each
        self._ended: dict[int, DeploymentEnded] = {}  # by service
        self._unreachable: set[int] = set()
        self._outages = 0
        self._is_back = True
        self._failures: list[str] = []

    async def run(self) -> int:
        """Run it to the end.

        Returns
        -------
        int
            0, or 1 if something that should have worked did not.
        """
        began = time.monotonic()
        screen = self._screen
        screen.line(screen.paint(f"aioservices {__version__}", "bold"))
        screen.paragraph(
            "An emulator of the services API on this machine, with real programs as services."
        )
        async with (
            Emulator(stop_grace=0.5) as emulator,
            Services(emulator.api_key, base_url=emulator.url, trust_env=False) as services,
        ):
            services.on_response(self._count_request)
            for name in fleet.PURPOSES:
                self._names[emulator.add_service(name, command=fleet.command(name))] = name
            await self._deploy(emulator, services)
            difference = await self._follow(emulator, services)
            reports = [self._report(emulator, service_id) for service_id in self._names]
        self._sum_up(reports, difference, time.monotonic() - began)
        return 1 if self._failures else 0

    async def _deploy(self, emulator: Emulator, services: Services) -> None:
        """Deploy every service at once, while one answer is lost."""
        screen = self._screen
        self._heading("Deploying all of them at once")
        screen.paragraph(
            f"  The answer to the deploy of {fleet.SHOP} is lost on the way: was it deployed, or "
            "not? The client finds out, and does not deploy it twice."
        )
        path = f"/services/{self._id(fleet.SHOP)}/deployments"
        emulator.fault(Respond(504, acts=True), method="POST", path=path, times=1)
        total = len(self._names)
        screen.progress(0, total, "running")
        done = 0
        async for outcome in services.deploy_many(self._names, timeout=_TIMEOUT):
            done += 1
            name = self._names[outcome.service_id]
            word, style = "running", "good"
            rest = f"after {outcome.elapsed:.1f} s: {fleet.PURPOSES[name]}"
            if outcome.error is not None:
                word, style, rest = "failed:", "bad", str(outcome.error)
                self._failures.append(f"{name} could not be deployed")
            prefix = f"  {self._name(outcome.service_id)}  "
            screen.outcome(prefix, 4 + _NAME_WIDTH, word, rest, style=style)
            screen.progress(done, total, "running")
        screen.end_progress()

    async def _follow(self, emulator: Emulator, services: Services) -> Difference:
        """Print the lines of the services during an outage and a redeploy of the shop."""
        self._heading("Following the logs, and visiting the shop (times are UTC)")
        difference = Difference(0, 0)
        send, receive = anyio.create_memory_object_stream[TailEvent](math.inf)
        async with send, receive, anyio.create_task_group() as group:
            group.start_soon(self._print_lines, services, send.send_nowait)
            group.start_soon(self._report_events, services, receive, group)
            group.start_soon(self._visit)
            await anyio.sleep(_OUTAGE_AFTER)
            await self._break_connections(emulator)
            await anyio.sleep(_REDEPLOY_AFTER)
            await self._redeploy(services)
            await anyio.sleep(_REST)
            await self._until(self._is_complete)
            await self._end_visits()
            difference = await self._compare(services)
            group.cancel_scope.cancel()
        return difference

    async def _break_connections(self, emulator: Emulator) -> None:
        self._heading(f"An outage: the API breaks every connection for {_OUTAGE:g} s")
        self._screen.paragraph("  The programs keep writing, and the shop still has visitors.")
        with emulator.fault(Reset()):
            await anyio.sleep(_OUTAGE)

    async def _redeploy(self, services: Services) -> None:
        self._heading(f"Deploying {fleet.SHOP} again: the new deployment replaces the old one")
        async for outcome in services.deploy_many(
            [self._id(fleet.SHOP)], redeploy=True, timeout=_TIMEOUT
        ):
            if outcome.error is not None:
                self._failures.append(f"{fleet.SHOP} could not be deployed again")

    async def _print_lines(self, services: Services, on_event: EventHook) -> None:
        width = len("12:00:00 ") + _NAME_WIDTH + len("  ")
        async for watched in services.watch_logs(self._names, hold_back=1.0, on_event=on_event):
            entry = watched.entry
            message = entry.message or ""
            self._tally.add(watched.service_id, watched.deployment_id, entry)
            if watched.service_id == self._id(fleet.SHOP):
                self._addresses += re.findall(r"open at (http://\S+)", message)
                self._visit_lines += message.startswith("GET ")
            clock = format_instant(entry.created_at, "seconds")[11:19]
            prefix = f"{self._screen.paint(clock, 'dim')} {self._name(watched.service_id)}  "
            style = "bad" if entry.stream == "stderr" else None
            self._screen.entry(prefix, width, message, style)
            self._record_change()

    async def _report_events(
        self, services: Services, events: MemoryObjectReceiveStream[TailEvent], group: TaskGroup
    ) -> None:
        """Report what happens to the services and to the connection with the API."""
        async for event in events:
            match event:
                case OutageStarted():
                    if not self._unreachable:
                        self._outages += 1
                        self._is_back = False
                    self._unreachable.add(event.service_id)
                case OutageEnded():
                    self._unreachable.discard(event.service_id)
                    if not self._is_back:
                        self._is_back = True
                        self._heading("The API answers again: here are the lines written meanwhile")
                case DeploymentStarted():
                    self._deployments[event.deployment_id] = event.service_id
                case DeploymentEnded():
                    group.start_soon(self._report_end, services, event)
                case _:
                    pass
            self._record_change()

    async def _report_end(self, services: Services, event: DeploymentEnded) -> None:
        """Report that a service has ended, after its last line."""
        log = await services.list_deployments_logs(event.service_id, event.deployment_id)
        await self._until(lambda: self._tally.count(event.deployment_id) >= len(log))
        ending = _ENDINGS.get(event.state or "", f"is {event.state}")
        name = self._names[event.service_id]
        self._heading(f"{name} {ending}: {event.state_message}")
        self._ended[event.service_id] = event
        self._record_change()

    async def _visit(self) -> None:
        """Visit the shop, at the address that it writes to its log."""
        async with aiohttp.ClientSession() as http:
            for page in itertools.cycle(_VISITS):
                await anyio.sleep(0.3)
                if self._is_closing:
                    break
                if not self._addresses:
                    continue
                try:
                    async with http.get(f"{self._addresses[-1]}/{page}") as answer:
                        await answer.read()
                except aiohttp.ClientError:
                    continue  # between two deployments of the shop
                self._visits += 1
        self._is_visited = False
        self._record_change()

    async def _end_visits(self) -> None:
        """End the visits, and wait until the shop's line about each of them has arrived."""
        self._is_closing = True
        await self._until(lambda: not self._is_visited and self._visit_lines >= self._visits)

    async def _compare(self, services: Services) -> Difference:
        """Compare the lines that have arrived with the logs on the platform."""
        written = {
            deployment_id: await services.list_deployments_logs(service_id, deployment_id)
            for deployment_id, service_id in self._deployments.items()
        }
        await self._until(lambda: not self._tally.compare(written).missing)
        return self._tally.compare(written)

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait until a line or an event makes a condition true, or until the timeout."""
        with anyio.move_on_after(_TIMEOUT):
            while not condition():
                await self._changed.wait()

    def _record_change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _is_complete(self) -> bool:
        """Whether everything expected has happened."""
        ended = all(self._id(name) in self._ended for name in (fleet.BATCH_JOB, fleet.CRASHING))
        return ended and len(self._addresses) == 2 and not self._unreachable

    def _report(self, emulator: Emulator, service_id: int) -> ServiceReport:
        ended = self._ended.get(service_id)
        return ServiceReport(
            name=self._names[service_id],
            lines=self._tally.lines[service_id],
            deployments=emulator.deploys[service_id],
            state="running" if ended is None else ended.state,
            message=None if ended is None else ended.state_message,
            complaint=self._tally.last_complaint(service_id),
        )

    def _sum_up(self, reports: list[ServiceReport], difference: Difference, seconds: float) -> None:
        self._heading("What happened")
        for line in summarize(
            reports,
            difference=difference,
            visits=self._visits,
            outages=self._outages,
            requests=self._requests,
            seconds=seconds,
        ):
            self._screen.paragraph(line)
        self._failures += find_shortcomings(
            reports,
            difference=difference,
            visits=self._visits,
            visit_lines=self._visit_lines,
            outages=self._outages,
        )
        for failure in self._failures:
            self._screen.line(
                self._screen.paint(f"This should not have happened: {failure}", "bad")
            )
        self._heading("What to try next")
        for command, purpose in NEXT_STEPS:
            self._screen.step(command, purpose)

    def _heading(self, text: str) -> None:
        self._screen.heading(text)

    def _name(self, service_id: int) -> str:
        name = self._names[service_id]
        return self._screen.paint_name(name, list(fleet.PURPOSES).index(name), _NAME_WIDTH)

    def _id(self, name: str) -> int:
        return next(key for key, each in self._names.items() if each == name)

    def _count_request(self, _: ResponseInfo) -> None:
        self._requests += 1
