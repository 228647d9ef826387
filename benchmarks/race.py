"""A race: several ways to do one thing, measured lap by lap in turn.

The speed of a machine varies. So that this affects all contenders alike, they take turns (A B C
A B C ...), and a ratio is the median over the rounds.
"""

import gc
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter, process_time

import anyio.to_thread

from benchmarks.report import Goal, Row

OURS = "aioservices"


@dataclass(frozen=True)
class Lap:
    """What one contender did in one round."""

    units: int
    seconds: float
    cpu: float = math.nan  # seconds of this process

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.units / self.seconds

    @property
    def cpu_rate(self) -> float:
        """Units for each second that this process computed."""
        return self.units / self.cpu


Contender = Callable[[], Awaitable[Lap]]
"""Runs one lap. It checks its results, so that no wrong result wins."""


@dataclass(frozen=True)
class Race:
    """The laps of all contenders, in the order of the rounds."""

    laps: Mapping[str, Sequence[Lap]]
    unit: str

    def times_as_fast(self, *, than: str) -> float:
        """Return how many times as fast as another contender ours is."""
        pairs = zip(self.laps[OURS], self.laps[than], strict=True)
        return median(ours.rate / theirs.rate for ours, theirs in pairs)

    def times_as_lean(self, *, than: str) -> float:
        """Return how many times as much CPU time as ours another contender takes."""
        pairs = zip(self.laps[OURS], self.laps[than], strict=True)
        return median(ours.cpu_rate / theirs.cpu_rate for ours, theirs in pairs)

    def speed(self, what: str, *, than: str, at_least: float) -> Goal:
        """Compare our speed with that of another contender."""
        claim = f"{what}: times as fast as {than}"
        return Goal(claim, self.times_as_fast(than=than), at_least=at_least)

    def cpu(self, what: str, *, than: str, at_least: float) -> Goal:
        """Compare the CPU time of another contender with ours."""
        claim = f"{what}: CPU time of {than}, in ours"
        return Goal(claim, self.times_as_lean(than=than), at_least=at_least)

    def rows(self) -> list[Row]:
        """Return one line of figures for each contender."""
        return [Row(name, self._figures(name)) for name in self.laps]

    def _figures(self, name: str) -> dict[str, float]:
        rates = [lap.rate for lap in self.laps[name]]
        return {
            f"median {self.unit}/s": median(rates),
            f"best {self.unit}/s": max(rates),
            f"{OURS} is times": self.times_as_fast(than=name),
        }


async def race(contenders: Mapping[str, Contender], *, unit: str, rounds: int) -> Race:
    """Let the contenders take turns.

    Parameters
    ----------
    contenders
        The lap of each, by name; `OURS` is one of them. Each first runs one lap that is not
        measured, to open connections and warm caches.
    unit
        What the laps count, in the plural.
    rounds
        How many laps each one is measured for.
    """
    for lap in contenders.values():
        await lap()
    laps: dict[str, list[Lap]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, lap in contenders.items():
            gc.collect()  # so that no lap pays for the garbage of the previous one
            laps[name].append(await lap())
    return Race(laps, unit)


async def timed(work: Callable[[], Awaitable[int]]) -> Lap:
    """Time one lap of `work`, which returns how many units it did."""
    start, cpu = perf_counter(), process_time()
    units = await work()
    return Lap(units, perf_counter() - start, process_time() - cpu)


def in_thread(work: Callable[[], int]) -> Contender:
    """Turn synchronous work, which returns how many units it did, into a contender."""

    def lap() -> Lap:
        start = perf_counter()
        units = work()
        return Lap(units, perf_counter() - start)

    return partial(anyio.to_thread.run_sync, lap)


def check(answer: object, expected: object) -> None:
    """Raise for a wrong answer."""
    if answer != expected:
        raise AssertionError(f"expected {expected!r:.100}, got {answer!r:.100}")
