"""Commands that change services: archive, stop, transfer, create, update, clone and the like."""

import json

import pytest

from aioservices.client import Services
from aioservices.emulator import Emulator

from .conftest import Cli


async def test_services_are_archived_and_taken_out_again(cli: Cli, emulator: Emulator) -> None:
    for name in ("old-a", "old-b", "web"):
        emulator.add_service(name)
    planned = await cli.run("archive", "old-*", "--dry-run")
    assert planned.lines == ["would archive old-a (1)", "would archive old-b (2)"]
    assert len((await cli.run("list", "-q")).lines) == 3
    done = await cli.run("archive", "old-*")
    assert (done.status, sorted(done.lines)) == (0, ["archived old-a (1)", "archived old-b (2)"])
    assert (await cli.run("list", "-q")).lines == ["3"]
    archived = await cli.run("list", "--archived", "-q")
    again = await cli.run("unarchive", "-", "--json", input=archived.output)
    assert (again.status, len(again.lines)) == (0, 2)
    assert len((await cli.run("list", "-q")).lines) == 3


async def test_archived_services_are_found_by_name_where_that_is_meant(
    cli: Cli, emulator: Emulator
) -> None:
    for name in ("old-a", "old-b", "web"):
        emulator.add_service(name)
    assert (await cli.run("archive", "old-*")).status == 0
    missing = await cli.run("get", "old-a")
    assert missing.status == 1
    assert "an archived one is: its id is 1" in missing.errors
    taken_out = await cli.run("unarchive", "old-a")
    assert (taken_out.status, taken_out.lines) == (
        0,
        ["unarchived old-a (1): it is not running; aioservices deploy 1 starts it"],
    )
    assert (await cli.run("unarchive", "old-*", "--dry-run")).lines == ["would unarchive old-b (2)"]
    wrong = await cli.run("unarchive", "web")
    assert (wrong.status, "see aioservices list --archived" in wrong.errors) == (1, True)


async def test_archiving_says_which_deployments_it_ends(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web", deployed=True)
    emulator.add_service("idle")
    planned = await cli.run("archive", "web", "idle", "--dry-run")
    assert planned.lines == [
        "would archive web (1) and end its deployment 1001",
        "would archive idle (2)",
    ]
    done = await cli.run("archive", "web", "idle")
    assert done.status == 0, done
    assert sorted(done.lines) == [
        "archived idle (2)",
        "archived web (1): deployment 1001 has ended",
    ]
    again = await cli.run("archive", "1")
    assert again.lines == ["left web (1): it was archived already"]
    back = await cli.run("unarchive", "web")
    assert back.lines == ["unarchived web (1): it is not running; aioservices deploy 1 starts it"]
    assert (await cli.run("unarchive", "1")).lines == ["left web (1): it was not archived"]


async def test_archiving_several_that_run_is_asked_about(cli: Cli, emulator: Emulator) -> None:
    for name in ("web-a", "web-b"):
        emulator.add_service(name, deployed=True)
    emulator.add_service("web-c")
    refused = await cli.run("archive", "web-*")
    assert (refused.status, refused.output) == (2, "")
    question = "archive 3 services: web-a (1), web-b (2), web-c (3), and end 2 running deployments"
    assert f"this would {question}: confirm with --yes" in refused.errors
    with cli.terminal("archive", "web-*", columns=120) as terminal:
        await terminal.until(f"{question[0].upper()}{question[1:]}? [y/N] ")
        terminal.type("n\n")
        ended = await terminal.end()
    assert ended.status == 1
    assert len((await cli.run("list", "--status", "running", "-q")).lines) == 2
    assert (await cli.run("archive", "web-*", "--yes")).status == 0


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (["transfer", "web", "2"], "transfer web (1) to user 2"),
        (
            ["transfer", "web", "2", "--with-dependencies"],
            "transfer web (1) and all that it needs to user 2",
        ),
        (["tokens", "revoke", "web", "7"], "revoke token 7 of web (1)"),
        (["tokens", "revoke", "web", "7", "8"], "revoke tokens 7, 8 of web (1)"),
        (
            ["shares", "remove", "web", "--user", "2", "--group", "3"],
            "stop sharing web (1) with user 2, group 3",
        ),
    ],
)
async def test_a_question_is_a_sentence_and_the_same_as_the_dry_run(
    cli: Cli, emulator: Emulator, arguments: list[str], question: str
) -> None:
    emulator.add_service("web")
    refused = await cli.run(*arguments)
    assert refused.status == 2
    assert f"this would {question}: confirm with --yes" in refused.errors
    assert (await cli.run(*arguments, "--dry-run")).output == f"would {question}\n"
    with cli.terminal(*arguments, columns=200) as terminal:
        await terminal.until(f"{question[0].upper()}{question[1:]}? [y/N]")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tokens", "revoke", "web", "99", "--yes"], "there is no token 99 of service 1"),
        (["shares", "remove", "web", "--user", "99"], "service 1 is not shared with user 99"),
        (["shares", "remove", "web", "--group", "99"], "service 1 is not shared with group 99"),
        (["projects", "remove", "web", "99"], "service 1 is not in project 99"),
        (["logs", "web", "--deployment", "99"], "there is no deployment 99 of service 1"),
        (["api", "GET", "things/7"], "there is no things/7"),
    ],
)
async def test_what_is_not_there_is_named(
    cli: Cli, emulator: Emulator, arguments: list[str], said: str
) -> None:
    emulator.add_service("web", deployed=True)
    ended = await cli.run(*arguments)
    assert ended.status == 1
    assert f"{said} at {emulator.url}" in ended.errors


async def test_stopping_ends_the_current_deployment(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web", deployed=True)
    emulator.add_service("idle")
    ended = await cli.run("stop", "web", "idle", "--yes")
    assert ended.status == 0, ended
    assert sorted(ended.lines) == [
        "left idle (2): it was not running",
        "stopped web (1): deployment 1001",
    ]
    assert (await cli.run("list", "--status", "running", "-q")).lines == []


async def test_stopping_several_services_is_asked_about(cli: Cli, emulator: Emulator) -> None:
    for name in ("web-a", "web-b"):
        emulator.add_service(name, deployed=True)
    refused = await cli.run("stop", "web-*")
    assert (refused.status, refused.output) == (2, "")
    assert "this would stop 2 services: web-a (1), web-b (2): confirm with --yes" in refused.errors
    with cli.terminal("stop", "web-*") as terminal:
        await terminal.until("Stop 2 services: web-a (1), web-b (2)? [y/N] ")
        terminal.type("n\n")
        ended = await terminal.end()
    assert ended.status == 1
    assert "nothing was done" in ended.output
    assert len((await cli.run("list", "--status", "running", "-q")).lines) == 2


async def test_a_question_is_wrapped_between_words(cli: Cli, emulator: Emulator) -> None:
    for name in ("web-a", "web-b"):
        emulator.add_service(name, deployed=True)
    with cli.terminal("stop", "web-*", columns=30) as terminal:
        asked = await terminal.until("[y/N] ")
        terminal.type("n\n")
        await terminal.end()
    lines = asked.splitlines()
    assert " ".join(lines).split() == [
        "Stop",
        "2",
        "services:",
        "web-a",
        "(1),",
        "web-b",
        "(2)?",
        "[y/N]",
    ]
    assert len(lines) == 2
    assert max(map(len, lines)) <= 30


async def test_the_failure_of_one_service_stops_no_other(cli: Cli, emulator: Emulator) -> None:
    from aioservices.emulator.faults import Respond

    for name in ("a", "b", "c"):
        emulator.add_service(name)
    emulator.fault(Respond(422, "json"), method="PUT", path="/services/2/archive")
    ended = await cli.run("archive", "a", "b", "c")
    assert (ended.status, sorted(ended.lines)) == (1, ["archived a (1)", "archived c (3)"])
    assert ended.errors.startswith("aioservices: b (2): ")
    assert ended.errors.count("\n") == 1


async def test_a_transfer_is_confirmed_and_says_what_was_shared(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.add_service("web")
    assert (await cli.run("transfer", "web", "2")).status == 2
    with cli.terminal("transfer", "web", "2", columns=100) as terminal:
        asked = await terminal.until("? [y/N] ")
        assert "Only the new owner can undo this." in asked
        assert "Transfer web (1) to user 2? [y/N]" in asked
        terminal.type("y\n")
        ended = await terminal.end()
    assert (ended.status, "transferred web (1) to user 2" in ended.output) == (0, True)
    assert (await cli.run("dependencies", "1")).status == 0


async def test_a_service_is_created_with_attributes_and_variables(
    cli: Cli, emulator: Emulator
) -> None:
    ended = await cli.run(
        *("create", "web", "--set", "replicas=2", "--set", "docker_image_name=acme/web"),
        *("--set", "schedule.runtime_plan=always_on", "--set", "schedule.recurrences=[]"),
        *("--env", "PLAIN=1", "--env", "TOKEN", "--env-file", "-", "-q"),
        input="# comment\nexport FROM_FILE='a b'\n",
        TOKEN="hunter2",
    )
    assert (ended.status, ended.output) == (0, "1\n"), ended
    async with Services(emulator.api_key, base_url=emulator.url) as services:
        made = await services.get(1)
    assert (made.name, made.replicas, made.docker_image_name) == ("web", 2, "acme/web")
    assert made.schedule is not None
    assert made.schedule.runtime_plan == "always_on"
    assert made.environment_variables == {"PLAIN": "1", "TOKEN": "hunter2", "FROM_FILE": "a b"}


@pytest.mark.parametrize("deployed", [True, False])
async def test_a_change_of_a_running_service_says_when_it_takes_effect(
    cli: Cli, emulator: Emulator, deployed: bool
) -> None:
    emulator.add_service("web", deployed=deployed)
    with cli.terminal("update", "web", "--set", "replicas=3") as terminal:
        ended = await terminal.end()
    assert (ended.status, "aioservices deploy 1" in ended.output) == (0, deployed)
    piped = await cli.run("update", "web", "--set", "replicas=4")
    assert (piped.status, piped.errors) == (0, "")


async def test_what_an_update_changes_is_reported_without_secrets(
    cli: Cli, emulator: Emulator
) -> None:
    variables = {"OLD": "hunter2", "KEPT": "hunter3"}
    emulator.add_service("web", environment_variables=variables)
    arguments = ["update", "web", "--set", "replicas=3", "--unset", "description"]
    arguments += ["--env", "NEW", "--unset-env", "OLD"]
    planned = await cli.run(*arguments, "--dry-run", NEW="hunter4")
    assert planned.lines[0] == "would update web (1):"
    done = await cli.run(*arguments, NEW="hunter4")
    assert (done.status, done.lines[0]) == (0, "updated web (1):")
    assert planned.lines[1:] == done.lines[1:]
    assert "  environment_variables.NEW: added" in done.lines
    assert "  environment_variables.OLD: removed" in done.lines
    assert any(line.endswith(" -> 3") and "replicas" in line for line in done.lines)
    assert "hunter" not in planned.output + done.output + done.errors
    async with Services(emulator.api_key, base_url=emulator.url) as services:
        service = await services.get(1)
    assert service.replicas == 3
    assert service.environment_variables == {"KEPT": "hunter3", "NEW": "hunter4"}
    again = await cli.run("update", "web", "--set", "replicas=3")
    assert again.lines == ["web (1) is like this already"]


@pytest.mark.parametrize("options", [[], ["--show-secrets"]])
async def test_what_get_writes_is_what_update_reads(
    cli: Cli, emulator: Emulator, options: list[str]
) -> None:
    emulator.add_service("web", deployed=True, environment_variables={"TOKEN": "hunter2"})
    got = await cli.run("get", "web", "--json", *options)
    same = await cli.run("update", "--file", "-", input=got.output)
    assert (same.status, same.lines) == (0, ["web (1) is like this already"]), same
    changed = json.loads(got.output) | {"memory": 2048}
    ended = await cli.run("update", "--file", "-", input=json.dumps(changed, indent=2))
    assert ended.status == 0, ended
    assert any("memory" in line and "2048" in line for line in ended.lines)
    async with Services(emulator.api_key, base_url=emulator.url) as services:
        service = await services.get(1)
    assert (service.memory, service.environment_variables) == (2048, {"TOKEN": "hunter2"})


async def test_a_yaml_file_updates_several_services(cli: Cli, emulator: Emulator) -> None:
    for name in ("a", "b"):
        emulator.add_service(name)
    text = "id: 1\nreplicas: 2\n---\nid: 2\ndescription: 'yes'\n"
    ended = await cli.run("update", "--file", "-", input=text)
    assert ended.status == 0, ended
    async with Services(emulator.api_key, base_url=emulator.url) as services:
        assert (await services.get(1)).replicas == 2
        assert (await services.get(2)).description == "yes"


@pytest.mark.parametrize(
    ("document", "stored"),
    [
        ("id: 1\nenvironment_variables:\n  NEW: 1\n  FLAG: on\n", {"NEW": "1", "FLAG": "on"}),
        ('{"id": 1, "environment_variables": {"NEW": 1}}', {"NEW": "1"}),
    ],
)
async def test_an_update_settles_whatever_the_type_of_a_variable(
    cli: Cli, emulator: Emulator, document: str, stored: dict[str, str]
) -> None:
    emulator.add_service("web")
    first = await cli.run("update", "--file", "-", input=document)
    assert (first.status, first.lines[0]) == (0, "updated web (1):")
    async with Services(emulator.api_key, base_url=emulator.url) as services:
        assert (await services.get(1)).environment_variables == stored
    again = await cli.run("update", "--file", "-", input=document)
    assert again.lines == ["web (1) is like this already"]


async def test_a_member_is_unset_and_no_variable_is_by_mistake(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.add_service("web", environment_variables={"A": "1", "B": "2"})
    day = '[{"scheduled_days": [1], "scheduled_hours": [8]}]'
    planned = ("--set", "schedule.runtime_plan=specific_times")
    made = await cli.run("update", "web", *planned, "--set", f"schedule.recurrences={day}")
    assert made.status == 0, made
    cleared = await cli.run(
        *("update", "web", "--unset", "schedule.recurrences"),
        *("--set", "schedule.runtime_plan=on_demand"),
    )
    assert cleared.status == 0, cleared
    refused = await cli.run("update", "web", "--unset", "environment_variables.A")
    assert (refused.status, "say --unset-env A" in refused.errors) == (2, True)
    async with Services(emulator.api_key, base_url=emulator.url) as services:
        service = await services.get(1)
    assert service.environment_variables == {"A": "1", "B": "2"}
    assert service.schedule is not None
    assert (service.schedule.runtime_plan, service.schedule.recurrences) == ("on_demand", [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "replica=3"], "did you mean replicas?"),
        (["--set", "replicas=three"], "'three' is not an integer"),
        (["--set", "credentials=one"], "'one' is not a list in JSON, such as [1, 2]"),
        (["--set", "schedule=1"], "--set schedule: '1' is not an object in JSON"),
        (["--set", "replicas=true"], "'true' is not an integer"),
        (["--set", "replicas"], "NAME=VALUE"),
        (["--set", "created_at=now"], "created_at cannot be set"),
        (["--set", 'replicas="3"'], "is not an integer"),
        (["--env", "NOT_THERE_AT_ALL"], "you have no such environment variable"),
        (["--unset-env", "NOT_THERE"], "has no variable NOT_THERE"),
        (["--file", "/nonexistent"], "/nonexistent: No such file or directory"),
        ([], "nothing to change"),
    ],
)
async def test_an_update_that_makes_no_sense_is_refused_in_one_line(
    cli: Cli, emulator: Emulator, arguments: list[str], said: str
) -> None:
    emulator.add_service("web")
    ended = await cli.run("update", "web", *arguments)
    assert ended.status in {1, 2}
    assert (ended.output, ended.errors.count("\n")) == ("", 1)
    assert said in ended.errors


@pytest.mark.parametrize("text", ["{", "- 1\n", "a: b: c", "", "id: 1\nfoo: 2"])
async def test_a_file_that_describes_no_service_is_refused_in_one_line(
    cli: Cli, emulator: Emulator, text: str
) -> None:
    emulator.add_service("web")
    ended = await cli.run("update", "web", "--file", "-", input=text)
    assert (ended.status, ended.output, ended.errors.count("\n")) == (2, "", 1), ended


async def test_a_copy_gets_the_name_that_is_wanted(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    ended = await cli.run("clone", "web", "--name", "web-test")
    assert (ended.status, ended.output) == (
        0,
        "cloned web (1) as web-test (2): it is not running; aioservices deploy 2 starts it\n",
    )
