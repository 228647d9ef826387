"""What the demo says in the end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aioservices import LogEntry, TailedEntry
from aioservices.demo import fleet
from aioservices.demo.summary import ServiceReport, find_shortcomings, summarize
from aioservices.demo.tally import Difference, Tally

NOTHING = Difference(0, 0)
STATES = {fleet.BATCH_JOB: "terminated", fleet.CRASHING: "failed"}


def report(name: str, **changes: Any) -> ServiceReport:
    values: dict[str, Any] = {
        "name": name,
        "lines": 3,
        "deployments": 2 if name == fleet.SHOP else 1,
        "state": STATES.get(name, "running"),
        "message": None,
        "complaint": None,
    }
    return ServiceReport(**{**values, **changes})


RIGHT: dict[str, Any] = {"difference": NOTHING, "visits": 1, "visit_lines": 1, "outages": 1}


def reports(**changes: ServiceReport) -> list[ServiceReport]:
    return [changes.get(name, report(name)) for name in fleet.PURPOSES]


def test_nothing_is_wrong_when_all_went_as_it_should() -> None:
    assert find_shortcomings(reports(), **RIGHT) == []


@pytest.mark.parametrize(
    ("changed", "figures", "shortcoming"),
    [
        (report("shop", deployments=3), {}, "shop was deployed 3 times, not 2"),
        (report("mailer", deployments=0), {}, "mailer was deployed 0 times, not 1"),
        (report("report", state="running"), {}, "report is running"),
        (report("mailer", lines=0), {}, "mailer wrote nothing"),
        (None, {"difference": Difference(1, 0)}, "lines of log were lost or repeated"),
        (None, {"difference": Difference(0, 1)}, "lines of log were lost or repeated"),
        (None, {"visit_lines": 2}, "the shop wrote 2 lines about 1 visits"),
        (None, {"visits": 0, "visit_lines": 0}, "no visit to the shop was answered"),
        (None, {"outages": 0}, "the outage was not noticed"),
    ],
)
def test_what_should_not_have_happened_is_named(
    changed: ServiceReport | None, figures: dict[str, Any], shortcoming: str
) -> None:
    all_reports = reports(**({} if changed is None else {changed.name: changed}))
    assert find_shortcomings(all_reports, **{**RIGHT, **figures}) == [shortcoming]


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "running"),
        ({"deployments": 2}, "running, deployed again meanwhile"),
        ({"deployments": 0}, "not deployed"),
        ({"state": "failed", "message": "exited with status 1"}, "crashed: exited with status 1"),
        (
            {"state": "terminated", "message": "exited with status 0"},
            "finished: exited with status 0",
        ),
        ({"state": "sleeping"}, "sleeping"),
    ],
)
def test_each_service_says_how_it_is(changes: dict[str, Any], outcome: str) -> None:
    assert report("mailer", **changes).outcome() == outcome


def test_a_crash_is_shown_with_its_last_complaint() -> None:
    lines = summarize(
        reports(
            report=report("report", message="exited with status 1", complaint="ZeroDivisionError")
        ),
        difference=Difference(2, 1),
        visits=7,
        outages=1,
        requests=9,
        seconds=3.25,
    )
    crash = next(number for number, line in enumerate(lines) if "crashed" in line)
    assert lines[crash + 1].strip() == "ZeroDivisionError"
    assert "15 lines of log: 2 of them are missing, 1 arrived twice." in lines
    assert "1 lost answer and 1 outage of the API." in lines


def test_lines_that_are_missing_or_repeated_are_counted_up_to_the_last_instant() -> None:
    start = datetime(2026, 11, 26, tzinfo=UTC)
    tally = Tally()

    def at(second: int) -> datetime:
        return start + timedelta(seconds=second)

    for second in (0, 1, 1, 4):
        entry = TailedEntry(message="x", created_at=at(second), service_id=1, deployment_id=5)
        tally.add(1, 5, entry)
    written = [LogEntry(message="x", created_at=at(second)) for second in (0, 1, 2, 3)]
    assert tally.count(5) == 4
    assert tally.compare({5: written}) == Difference(missing=1, repeated=1)
    assert tally.compare({5: []}) == NOTHING
