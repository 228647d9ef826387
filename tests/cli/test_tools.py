"""`aioservices api`, `open`, `doctor`, `completion` and `help`."""

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import click
import pytest

from aioservices.cli.app import cli as root
from aioservices.emulator import Emulator
from aioservices.emulator.faults import Delay, Respond, Stall
from tests.servers.programs import Ended
from tests.servers.terminal import shell_on_terminal
from tests.servers.waiting import PATIENCE, until

from .conftest import Cli


async def test_any_call_can_be_made(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web", deployed=True)
    emulator.add_service("idle")
    running = await cli.run("api", "get", "/services?status=running")
    assert [each["name"] for each in json.loads(running.output)] == ["web"]
    ended = await cli.run("api", "PATCH", "services/1", "-F", "replicas=2", "-f", "name=shop")
    assert ended.status == 0, ended
    shown = json.loads((await cli.run("api", "GET", "services/1")).output)
    assert (shown["replicas"], shown["name"]) == (2, "shop")
    body = json.dumps({"status": True})
    assert (
        await cli.run("api", "PUT", "services/2/archive", "--input", "-", input=body)
    ).status == 0
    assert (await cli.run("list", "-q")).lines == ["1"]


async def test_a_call_that_changes_something_can_be_looked_at(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    ended = await cli.run("api", "PATCH", "services/1", "-F", "replicas=2", "--dry-run")
    assert ended.lines[0] == "would PATCH services/1"
    assert json.loads("".join(ended.lines[1:])) == {"replicas": 2}
    assert not [each for each in emulator.requests if each.method == "PATCH"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["GET", "services/7"], 1),
        (["GET", "../secrets"], 2),
        (["G T", "services"], 2),
        (["GET", "services", "-f", "limit"], 2),
        (["GET", "services", "-F", "limit=many"], 2),
        (["POST", "services", "--input", "/nonexistent"], 2),
    ],
)
async def test_a_call_that_makes_no_sense_is_refused_in_one_line(
    cli: Cli, arguments: list[str], status: int
) -> None:
    ended = await cli.run("api", *arguments)
    assert (ended.status, ended.output, ended.errors.count("\n")) == (status, "", 1), ended


async def test_an_answer_is_readable_and_harmless_on_a_terminal(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.add_service("a\x1b[2Jb")
    with cli.terminal("api", "GET", "services/1", NO_COLOR="1") as terminal:
        ended = await terminal.end()
    assert ended.status == 0
    assert "\x1b[2J" not in ended.output
    assert '  "name": ' in ended.output


async def test_the_url_of_a_service_is_printed(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web", deployed=True)
    emulator.add_service("idle")
    ended = await cli.run("open", "web")
    assert (ended.status, ended.output.startswith("http"), len(ended.lines)) == (0, True, 1)
    refused = await cli.run("open", "idle")
    assert (refused.status, refused.errors.count("\n")) == (1, 1)
    assert "has no URL: it is not deployed" in refused.errors


async def test_the_doctor_finds_all_well_and_shows_no_secret(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    ended = await cli.run("doctor")
    assert (ended.status, ended.errors) == (0, ""), ended
    assert emulator.api_key not in ended.output
    names = [line.split()[1] for line in ended.lines]
    assert names[:5] == ["aioservices", "packages", "address", "key", "proxy"]
    for expected in ("agrees with the server's", "requests are left", "the key sees 1 service"):
        assert expected in ended.output
    assert "the API does not say whose key it is" in ended.output


@pytest.mark.parametrize("key", ["{} ", " {}", "{}\n", "{}:x", "a b", "schlüssel"])
async def test_the_doctor_sees_that_a_key_is_none(cli: Cli, emulator: Emulator, key: str) -> None:
    ended = await cli.run("doctor", "--json", CIVIS_API_KEY=key.format(emulator.api_key))
    findings = {each["name"]: each for each in map(json.loads, ended.lines)}
    assert (ended.status, findings["key"]["grade"]) == (1, "failed")
    assert findings["key"]["text"].startswith("CIVIS_API_KEY ")
    assert emulator.api_key not in ended.output


async def test_the_doctor_says_which_step_fails(
    cli: Cli, emulator: Emulator, closed_port: int
) -> None:
    without_key = await cli.run("doctor", CIVIS_API_KEY="")
    assert (without_key.status, "CIVIS_API_KEY is not set" in without_key.output) == (1, True)
    wrong = await cli.run("doctor", CIVIS_API_KEY="wrong-key")
    assert (wrong.status, "refuses the API key" in wrong.output) == (1, True)
    assert "wrong-key" not in wrong.output
    unreachable = await cli.run("doctor", "--url", f"http://127.0.0.1:{closed_port}")
    assert unreachable.status == 1
    assert f"127.0.0.1:{closed_port} cannot be reached: Connection refused" in unreachable.output
    proxy = await cli.run("doctor", HTTP_PROXY=f"http://user:hunter2@127.0.0.1:{closed_port}")
    assert proxy.status == 1
    assert f"127.0.0.1:{closed_port}, the proxy cannot be reached" in proxy.output
    assert "hunter2" not in proxy.output
    assert all(json.loads(line) for line in (await cli.run("doctor", "--json")).lines)


async def test_the_doctor_reports_a_clock_that_is_wrong() -> None:
    async with Emulator(clock=lambda: time.time_ns() + 3_600_000_000_000) as emulator:
        ended = await Cli(emulator).run("doctor")
    assert ended.status == 0
    assert re.search(r"this machine is (1 h|59 min \d+ s) behind the server", ended.output)


async def offered(cli: Cli, **asked: str) -> Ended:
    """Complete names until there are some: a slow machine has none within half a second."""
    with anyio.fail_after(PATIENCE):
        while True:
            ended = await cli.run(**asked)
            if ended.output.strip() or ended.errors:
                return ended


async def test_a_shell_completes_names_of_services(
    cli: Cli, emulator: Emulator, tmp_path: Path
) -> None:
    for name in ("web-shop", "web-api", "batch"):
        emulator.add_service(name)
    asked = {"_AIOSERVICES_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    asked |= {"COMP_WORDS": "aioservices logs WEB", "XDG_CACHE_HOME": str(tmp_path)}
    first = await offered(cli, **asked)
    assert (first.errors, first.lines) == ("", ["plain,web-api", "plain,web-shop"])
    emulator.add_service("web-new")
    assert (await cli.run(**asked)).lines == first.lines  # kept for a minute
    [kept] = (tmp_path / "aioservices").glob("*.json")
    assert kept.stat().st_mode & 0o077 == 0
    assert emulator.api_key not in kept.read_text() + kept.name


@pytest.mark.parametrize(
    ("word", "name"),
    [("日", r"日本\ x"), ("'日", "日本 x"), ('"日', "日本 x"), (r"日本\ ", r"日本\ x")],
)
async def test_bash_quotes_a_name_unless_it_is_quoted_already(
    cli: Cli, emulator: Emulator, tmp_path: Path, word: str, name: str
) -> None:
    emulator.add_service("日本 x")
    asked = {"_AIOSERVICES_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    asked |= {"COMP_WORDS": f"aioservices\nget\n{word}", "XDG_CACHE_HOME": str(tmp_path)}
    assert (await offered(cli, **asked)).lines == [f"plain,{name}"]


async def test_names_that_do_not_come_in_time_are_asked_for_again(
    cli: Cli, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.add_service("web")
    asked = {"_AIOSERVICES_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    asked |= {"COMP_WORDS": "aioservices logs w", "XDG_CACHE_HOME": str(tmp_path)}
    with emulator.fault(Stall()):
        ended = await cli.run(**asked)
    assert (ended.status, ended.output.strip(), ended.errors) == (0, "", "")
    assert (await offered(cli, **asked)).lines == ["plain,web"]


async def test_names_that_come_too_late_for_one_key_are_there_for_the_next(
    cli: Cli, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.add_service("web")
    asked = {"_AIOSERVICES_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    asked |= {"COMP_WORDS": "aioservices logs w", "XDG_CACHE_HOME": str(tmp_path)}
    with emulator.fault(Delay(1.0)):
        assert (await cli.run(**asked)).output.strip() == ""
        assert (await offered(cli, **asked)).lines == ["plain,web"]
    await until(lambda: [each.suffix for each in (tmp_path / "aioservices").iterdir()] == [".json"])


async def test_a_shell_that_completes_sees_no_errors(cli: Cli, emulator: Emulator) -> None:
    asked = {"_AIOSERVICES_COMPLETE": "zsh_complete", "COMP_CWORD": "2"}
    asked |= {"COMP_WORDS": "aioservices logs w"}
    for trouble in ({"CIVIS_API_KEY": ""}, {"CIVIS_API_ENDPOINT": "nonsense"}):
        ended = await cli.run(**asked, **trouble)
        assert (ended.status, ended.output.strip(), ended.errors) == (0, "", "")
    emulator.fault(Respond(503, "html"))
    ended = await cli.run(**asked)
    assert (ended.status, ended.output.strip(), ended.errors) == (0, "", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_is_printed_and_installed(cli: Cli, tmp_path: Path, shell: str) -> None:
    printed = await cli.run("completion", shell)
    assert (printed.status, "_AIOSERVICES_COMPLETE" in printed.output) == (0, True)
    ended = await cli.run("completion", shell, "--install", HOME=str(tmp_path))
    assert ended.status == 0, ended
    [written] = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert str(written) in ended.output
    assert "_AIOSERVICES_COMPLETE" in written.read_text()


async def test_it_runs_with_a_click_whose_types_are_not_generic_yet() -> None:
    """As click 8.2 and 8.3, which the project's requirements admit."""
    program = (
        "import sys, click; click.ParamType.__class_getitem__ = None; "
        "from aioservices.__main__ import main; sys.exit(main(['list', '--help']))"
    )
    with anyio.fail_after(PATIENCE):
        done = await anyio.run_process([sys.executable, "-c", program], check=False)
    assert (done.returncode, done.stderr) == (0, b"")


ODD_NAMES = ["日本 x", "web [prod]", "web $(touch /tmp/x)", "it's", "a,b", "team:web"]


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
async def test_a_shell_takes_what_it_is_offered(
    cli: Cli, emulator: Emulator, tmp_path: Path, shell: str
) -> None:
    """What the shell puts on the line is, when it runs the line, the name of a service."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    for name in ODD_NAMES:
        emulator.add_service(name)
    script = tmp_path / "completion"
    script.write_text((await cli.run("completion", shell)).output)
    ask = {
        "bash": "source $1; COMP_WORDS=(aioservices get ''); COMP_CWORD=2; "
        '_aioservices_completion aioservices; for each in "${COMPREPLY[@]}"; do '
        "eval \"printf '%s\\n' $each\"; done",
        "fish": "source $argv[1]; complete -C 'aioservices get '",
        # What zsh puts on a line it quotes by itself; so what it is given is enough.
        "zsh": "compdef() {}; compadd() { print -rl -- ${(P)${@[-1]}} }; "
        "words=(aioservices get ''); CURRENT=3; source $1; _aioservices_completion",
    }[shell]
    argument = [str(script)] if shell == "fish" else [shell, str(script)]
    environment = cli.environment(
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        HOME=str(tmp_path),
        LC_ALL="C.UTF-8",
    )
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]

    found: list[str] = []
    with anyio.fail_after(PATIENCE):
        while len(found) < len(ODD_NAMES):  # a slow machine has no names within half a second
            done = await anyio.run_process(
                [shell, *options, "-c", ask, *argument], check=False, env=environment
            )
            assert done.stderr == b""
            found = done.stdout.decode().splitlines()
    assert sorted(found) == sorted(ODD_NAMES)


# Ctrl-G shows, after the completion that was asked for before, what is on the line.
SHOWS_ITS_LINE = {
    "bash": """PS1='READY> '; source ~/completion; shopt -u progcomp_alias
show() { echo "<$READLINE_LINE>"; READLINE_LINE=''; }
bind 'set bell-style none'; bind -x '"\\C-g": show'
""",
    "zsh": """PS1='READY> '; autoload -U compinit; compinit -u -D; source ~/completion
show() { print -r -- "<$BUFFER>"; BUFFER=''; zle reset-prompt }
zle -N show; bindkey '^G' show; setopt no_beep
""",
}


@pytest.mark.parametrize(
    ("shell", "lines"),
    [
        (
            "zsh",
            {
                "aioservices logs serv": "aioservices logs service",
                "aioservices help net": "aioservices help network ",
                "aioservices list --status=ru": "aioservices list --status=running ",
            },
        ),
        (
            "bash",
            {
                r"aioservices logs my\ team:": r"aioservices logs my\ team:web-",
                "aioservices logs x@p": "aioservices logs x@prod ",
                "aioservices list --status=ru": "aioservices list --status=running ",
            },
        ),
    ],
)
async def test_a_shell_takes_nothing_away_of_what_was_typed(
    cli: Cli, emulator: Emulator, tmp_path: Path, shell: str, lines: dict[str, str]
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    for name in ("service-1", "service-2", "Service #5", "my team:web-1", "My team:web-2"):
        emulator.add_service(name)
    emulator.add_service("x@prod")
    environment = cli.environment(
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        HOME=str(tmp_path),
        ZDOTDIR=str(tmp_path),
        LC_ALL="C.UTF-8",
        TERM="vt100",
    )
    script = (await cli.run("completion", shell)).output
    (tmp_path / "completion").write_text(script)
    (tmp_path / f".{shell}rc").write_text(SHOWS_ITS_LINE[shell])
    asked = {"_AIOSERVICES_COMPLETE": "zsh_complete", "COMP_CWORD": "2"}
    asked |= {"COMP_WORDS": "aioservices logs s", "XDG_CACHE_HOME": environment["XDG_CACHE_HOME"]}
    await offered(cli, **asked)  # they are kept
    with shell_on_terminal(shell, "-i", columns=200, environment=environment) as terminal:
        await terminal.until("READY> ")
        for typed, line in lines.items():
            terminal.type(f"{typed}\t\x07")
            await terminal.until(f"<{line}>")


@pytest.mark.parametrize(
    ("line", "word", "expected"),
    [
        ("get team:", ":", {"web-1", "web-2"}),
        ("get team:we", "we", {"web-1", "web-2"}),
        ("get TEAM:web-1", "web-1", {"web-1"}),
        ("get team:w", "web-1", {"web-1", "web-2"}),  # the cursor stands in the word
        ("get team:we", "team:we", {"team:web-1", "team:web-2"}),  # where it is not divided
        ("get 'team:we", "'team:we", {"team:web-1", "team:web-2"}),
        ("get a=", "=", {"b"}),
        ("get x@p", "p", {"@prod"}),
        ("get x@", "@", {"@prod"}),
        ("logs team:web-1 --fol", "--fol", {"--follow"}),
        ("list --status=", "=", {"running", "idle"}),
        ("list --status=r", "r", {"running"}),
        ("list --status=r", "--status=r", {"--status=running"}),
        ("list --status r", "r", {"running"}),
    ],
)
async def test_bash_is_given_what_follows_the_words_that_it_counts_apart(
    cli: Cli, emulator: Emulator, tmp_path: Path, line: str, word: str, expected: set[str]
) -> None:
    for name in ("team:web-1", "team:web-2", "a=b", "x@prod"):
        emulator.add_service(name)
    asked = {"_AIOSERVICES_COMPLETE": "bash_complete", "XDG_CACHE_HOME": str(tmp_path)}
    asked |= {"COMP_LINE": f"aioservices {line}", "COMP_WORDS": word, "COMP_CWORD": "0"}
    ended = await offered(cli, **asked)
    assert sorted(ended.lines) == sorted(f"plain,{each}" for each in expected)


@pytest.mark.parametrize(
    ("words", "offered", "not_offered"),
    [
        ("help ", {"start", "key", "deploy", "shares", "help"}, {"add"}),
        ("help ne", {"network"}, {"start"}),
        ("help shares ", {"list", "add", "remove"}, {"start", "deploy"}),
        ("help deploy ", set[str](), {"start", "deploy"}),
        ("help nonsense ", set[str](), {"start", "deploy"}),
    ],
)
async def test_help_completes_commands_and_topics(
    cli: Cli, words: str, offered: set[str], not_offered: set[str]
) -> None:
    line = f"aioservices {words}"
    asked = {"_AIOSERVICES_COMPLETE": "bash_complete", "COMP_WORDS": line.replace(" ", "\n")}
    ended = await cli.run(**asked, COMP_CWORD=str(line.count(" ")))
    assert (ended.status, ended.errors) == (0, "")
    found = {each.removeprefix("plain,") for each in ended.lines}
    assert offered <= found
    assert not not_offered & found


def every_command(
    command: click.Command = root, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands that do something, with the words that call them."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from every_command(inner, (*path, name))
    else:
        yield path, command


@pytest.mark.parametrize("columns", [50, 80, 200])
async def test_the_help_has_groups_and_no_clipped_sentence(cli: Cli, columns: int) -> None:
    with cli.terminal("--help", columns=columns) as terminal:
        ended = await terminal.end()
    assert ended.status == 0
    assert "..." not in ended.output.replace("KEY=...", "").replace("[ARGS]...", "")
    for group in ("Services:", "Deployments:", "Logs:", "Sharing:", "Tools:"):
        assert group in ended.lines
    for command in root.commands:
        assert sum(line.startswith(f"  {command} ") for line in ended.lines) >= 1
    prose = ended.lines[: ended.lines.index("  Examples:")]  # what is typed is not wrapped
    assert max(map(len, prose)) <= columns


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(*each, id=" ".join(each[0])) for each in every_command()]
)
def test_every_command_has_an_example_and_says_what_it_does(
    path: tuple[str, ...], command: click.Command
) -> None:
    assert command.help
    assert command.short_help
    assert len(command.short_help) <= 80
    assert command.short_help.endswith(".")
    if path[0] not in {"emulator", "demo"}:
        assert f"aioservices {' '.join(path)}" in (command.epilog or "")


@pytest.mark.parametrize("words", [[], ["key"], ["start"], ["shares", "add"], ["emulator"]])
async def test_help_explains_commands_and_topics(cli: Cli, words: list[str]) -> None:
    ended = await cli.run("help", *words)
    assert (ended.status, ended.errors) == (0, "")
    assert "aioservices" in ended.output


async def test_an_unknown_command_gets_a_suggestion(cli: Cli) -> None:
    ended = await cli.run("depoly", "web")
    assert (ended.status, ended.errors.count("\n")) == (2, 1)
    assert "deploy" in ended.errors
    assert (await cli.run("help", "nonsense")).status == 2
