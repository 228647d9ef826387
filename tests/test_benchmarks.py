"""The benchmarks run, and do not let wrong answers win."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import SUITES
from benchmarks.race import OURS, Contender, Lap, Race, check, race
from benchmarks.report import Goal, Report, Row, render, summarize

ROOT = Path(__file__).parent.parent


def run_benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def assert_figures(result: subprocess.CompletedProcess[str], figures: Path, suites: int) -> None:
    assert result.returncode == 0, result.stderr
    reports = json.loads(figures.read_text())
    assert len(reports) == suites
    for report in reports:
        assert report["title"] in result.stdout
        assert report["goals"]
        for row in report["rows"]:
            name, *values = row.values()
            assert name
            assert min(values) > 0


def test_a_suite_measures_and_writes_its_figures(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    assert_figures(run_benchmarks("--quick", "--json", str(figures), "gets"), figures, 1)


@pytest.mark.slow
def test_a_quick_run_measures_everything(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    assert_figures(run_benchmarks("--quick", "--json", str(figures)), figures, len(SUITES))


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    result = run_benchmarks("getz")
    assert result.returncode == 2
    assert "no benchmark getz; there are gets, deploys" in result.stderr


def test_the_ratio_is_the_median_of_the_rounds_so_that_one_bad_moment_hits_all_alike() -> None:
    ours = [Lap(100, 1.0), Lap(100, 10.0), Lap(100, 1.0)]
    theirs = [Lap(50, 1.0), Lap(50, 10.0), Lap(10, 1.0)]
    result = Race({OURS: ours, "them": theirs}, "calls")
    assert result.times_as_fast(than="them") == 2.0


def test_a_verdict_keeps_its_bound() -> None:
    assert Goal("fast", 1.0, at_least=0.95).reached
    assert not Goal("slow", 0.94, at_least=0.95).reached
    assert Goal("small", 1.2, at_most=1.25).reached
    assert not Goal("large", 1.3, at_most=1.25).reached


async def test_contenders_take_turns_after_one_lap_to_warm_up() -> None:
    turns: list[str] = []

    def contender(name: str) -> Contender:
        async def lap() -> Lap:
            turns.append(name)
            return Lap(1, 1.0)

        return lap

    result = await race({OURS: contender(OURS), "B": contender("B")}, unit="calls", rounds=2)
    assert turns == [OURS, "B"] * 3
    assert [len(laps) for laps in result.laps.values()] == [2, 2]


def test_a_wrong_answer_stops_the_race() -> None:
    check(42, 42)
    with pytest.raises(AssertionError, match="expected 42, got 43"):
        check(43, 42)


def test_a_report_is_a_table_of_figures() -> None:
    rows = [Row("ours", {"calls/s": 1234.5}), Row("theirs", {"calls/s": 2, "MB": 0.5})]
    assert render(Report("A title", rows)) == (
        "A title\n\n        calls/s   MB\nours      1,234\ntheirs        2  0.5\n"
    )


def test_an_aim_that_was_missed_stands_out_in_the_summary() -> None:
    goals = [Goal("as fast", 0.5, at_least=1.0), Goal("small", 1.0, at_most=2.0)]
    _, missed, reached = summarize(goals).splitlines()
    assert missed.split() == ["as", "fast", "0.5", "at", "least", "1", "MISSED"]
    assert reached.split() == ["small", "1", "at", "most", "2"]


def test_cpu_time_is_compared_round_by_round() -> None:
    laps = {OURS: [Lap(10, 9.0, cpu=1.0)] * 3, "them": [Lap(10, 1.0, cpu=2.0)] * 3}
    goal = Race(laps, "calls").cpu("a call", than="them", at_least=1.0)
    assert (goal.value, goal.reached) == (2.0, True)
    goal = Race(laps, "calls").speed("a call", than="them", at_least=1.0)
    assert goal.value == pytest.approx(1 / 9)
    assert not goal.reached
