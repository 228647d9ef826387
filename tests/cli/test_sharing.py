"""`aioservices shares`, `tokens` and `projects`."""

import json
import re

from aioservices.emulator import Emulator

from .conftest import Cli


async def test_a_service_is_shared_and_no_longer(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    planned = await cli.run("shares", "add", "web", "--user", "2", "--level", "read", "--dry-run")
    assert planned.output == "would share web (1) with user 2: read\n"
    arguments = ["shares", "add", "web", "--user", "2", "--group", "1", "--level", "write"]
    ended = await cli.run(*arguments, "--no-email")
    assert (ended.status, ended.output) == (0, "shared web (1) with user 2, group 1: write\n")
    listed = await cli.run("shares", "list", "web")
    assert any(line.split()[:2] == ["user", "2"] and "write" in line for line in listed.lines)
    removed = await cli.run("shares", "remove", "web", "--user", "2")
    assert removed.output == "stopped sharing web (1) with user 2\n"
    left = json.loads((await cli.run("shares", "list", "web", "--json")).output)
    assert [each["id"] for each in left["writers"]["users"]] == []
    assert [each["id"] for each in left["writers"]["groups"]] == [1]


async def test_sharing_with_nobody_is_refused(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    ended = await cli.run("shares", "add", "web", "--level", "read")
    assert (ended.status, ended.errors.count("\n")) == (2, 1)
    assert "--user or --group" in ended.errors


async def test_the_value_of_a_token_is_alone_on_standard_output(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.add_service("web")
    made = await cli.run("tokens", "create", "web", "ci", "--expires-in", "90d")
    assert (made.status, len(made.lines)) == (0, 1), made
    value = made.lines[0]
    assert value not in made.errors
    assert re.search(r"created token \d+ of web \(1\): it expires in 90 d", made.errors)
    listed = await cli.run("tokens", "list", "web")
    assert "ci" in listed.output
    assert value not in listed.output + (await cli.run("tokens", "list", "web", "--json")).output


async def test_a_terminal_is_warned_before_the_value_of_a_token(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.add_service("web")
    with cli.terminal("tokens", "create", "web", "ci", "--machine", columns=200) as terminal:
        ended = await terminal.end()
    assert (ended.status, len(ended.lines)) == (0, 3)
    assert "the only time that its value is shown" in ended.lines[1]


async def test_tokens_are_revoked_after_a_question(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    made = await cli.run("tokens", "create", "web", "ci", "--json")
    token_id = str(json.loads(made.output)["id"])
    refused = await cli.run("tokens", "revoke", "web", token_id)
    assert (refused.status, refused.output) == (2, "")
    ended = await cli.run("tokens", "revoke", "web", token_id, "--yes")
    assert (ended.status, ended.output) == (0, f"revoked token {token_id} of web (1)\n")
    assert "has no tokens" in (await cli.run("tokens", "list", "web")).errors


async def test_a_token_is_revoked_by_its_name(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    ids = []
    for name in ("ci", "robot", "twice", "twice"):
        made = await cli.run("tokens", "create", "web", name, "--json")
        ids.append(json.loads(made.output)["id"])
    unknown = await cli.run("tokens", "revoke", "web", "ci", "nosuch", "--yes")
    assert (unknown.status, unknown.output, unknown.errors.count("\n")) == (1, "", 1)
    assert "web (1) has no token called 'nosuch'" in unknown.errors
    several = await cli.run("tokens", "revoke", "web", "twice", "--yes")
    assert (several.status, several.output) == (2, "")
    assert f"say which by its id ({ids[2]}, {ids[3]})" in several.errors
    arguments = ["tokens", "revoke", "web", "ci", str(ids[0]), str(ids[3])]
    planned = await cli.run(*arguments, "--dry-run")
    assert planned.output == f"would revoke tokens ci ({ids[0]}), {ids[3]} of web (1)\n"
    done = await cli.run(*arguments, "--yes")
    assert done.lines == [
        f"revoked token ci ({ids[0]}) of web (1)",
        f"revoked token {ids[3]} of web (1)",
    ]
    listed = [json.loads(each) for each in (await cli.run("tokens", "list", "web", "--json")).lines]
    assert sorted(each["id"] for each in listed) == [ids[1], ids[2]]


async def test_a_plan_says_when_a_token_would_expire(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    planned = await cli.run("tokens", "create", "web", "ci", "--expires-in", "90d", "--dry-run")
    assert planned.output == "would create the token 'ci' of web (1), which expires in 90 d\n"
    unsaid = await cli.run("tokens", "create", "web", "ci", "--dry-run")
    assert unsaid.output == "would create the token 'ci' of web (1)\n"
    assert "the platform decides" in unsaid.errors


async def test_a_service_goes_into_projects_and_out_of_them(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    assert "belongs to no project" in (await cli.run("projects", "list", "web")).errors
    ended = await cli.run("projects", "add", "web", "1")
    assert (ended.status, ended.output) == (0, "added web (1) to project 1\n")
    assert len((await cli.run("projects", "list", "web")).lines) == 2
    ended = await cli.run("projects", "remove", "web", "1")
    assert (ended.status, ended.output) == (0, "removed web (1) from project 1\n")
