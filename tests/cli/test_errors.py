"""What the program says when it cannot do what it is asked for."""

import signal
import sys

import anyio
import pytest

from aioservices import Services
from aioservices.emulator import Emulator
from aioservices.emulator.faults import Reset, Respond
from tests.servers.programs import COMMAND, Ended
from tests.servers.waiting import PATIENCE

from .conftest import Cli


def one_line(ended: Ended, status: int) -> str:
    assert ended.status == status, ended
    assert ended.output == ""
    assert ended.errors.startswith("aioservices: ")
    assert ended.errors.count("\n") == 1, ended.errors
    return ended.errors


async def test_no_key(cli: Cli) -> None:
    assert "CIVIS_API_KEY" in one_line(await cli.run("list", CIVIS_API_KEY=""), 2)


async def test_a_wrong_key(cli: Cli) -> None:
    said = one_line(await cli.run("list", CIVIS_API_KEY="wrong-key"), 1)
    assert "CIVIS_API_KEY" in said
    assert "wrong-key" not in said


@pytest.mark.parametrize("command", ["get", "deploy", "logs", "watch"])
async def test_no_such_service(cli: Cli, command: str) -> None:
    assert "no service" in one_line(await cli.run(command, "7"), 1)
    assert "no service is called '99999" in one_line(await cli.run(command, "9" * 20), 1)
    assert "'web'" in one_line(await cli.run(command, "web"), 1)


@pytest.mark.parametrize(
    ("term", "hint"),
    [
        ("web-shpo", "did you mean 'Web-Shop' or 'web-api'?"),
        ("we-shop", "did you mean 'Web-Shop'?"),
        ("shop", "did you mean 'Web-Shop'?"),
        ("web", "did you mean 'Web-Shop' or 'web-api'?"),
        ("wbe-*", "see aioservices list, or list --archived and list --hidden for"),
        ("nothing", "see aioservices list, or list --archived and list --hidden for"),
        ("old", "an archived one is: its id is 3"),
        ("twice", "2 archived ones are: see aioservices list --archived"),
        ("o?", "2 archived ones have: see aioservices list --archived"),
    ],
)
async def test_a_wrong_name_is_answered_by_similar_ones(
    cli: Cli, emulator: Emulator, services: Services, term: str, hint: str
) -> None:
    for name in ("Web-Shop", "web-api", "old", "twice", "twice", "o2", "o3"):
        emulator.add_service(name)
    for service_id in range(3, 8):
        await services.put_archive(service_id, True)
    assert hint in one_line(await cli.run("get", term), 1)


async def test_that_a_name_is_unknown_is_reported_although_the_archive_cannot_be_read(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.add_service("web")
    emulator.fault(Respond(403), path="/services", skip=1)
    assert "did you mean 'web'?" in one_line(await cli.run("get", "wev"), 1)


async def test_a_name_that_several_have(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    emulator.add_service("web")
    for command in ("logs", "get", "deploy"):
        assert "(1, 2)" in one_line(await cli.run(command, "web"), 2)


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["watch"],
        ["stop", "1"],
        ["api", "GET", "services"],
        ["api", "POST", "services/1/deployments"],
        ["create", "web"],
    ],
)
async def test_no_network_is_reported_soon(cli: Cli, closed_port: int, command: list[str]) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    # One line: it is not tried again and again, each time with a note, for minutes.
    said = one_line(await cli.run(*command, "--url", url), 1)
    assert f"cannot reach {url}" in said


@pytest.mark.parametrize("command", [["api", "POST", "services"], ["create", "web"]])
async def test_what_may_have_been_done_is_not_done_again(
    cli: Cli, emulator: Emulator, command: list[str]
) -> None:
    fault = emulator.fault(Reset(acts=True), method="POST")
    assert "broke: try again later" in one_line(await cli.run(*command), 1)
    assert fault.hits == 1
    assert len(emulator.service_ids) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["get"], "missing argument 'SERVICE...' (see aioservices get --help)"),
        (["list", "--foo"], "no such option '--foo'"),
        (["list", "--jsn"], "no such option '--jsn': did you mean '--csv', '--json'?"),
        (
            ["--url", "http://x", "list"],
            "'--url' follows the command, as in aioservices list --url",
        ),
        (
            ["--follow", "logs", "1"],
            "'--follow' follows the command, as in aioservices logs --follow",
        ),
        (["-q", "list"], "'-q' follows the command, as in aioservices list -q"),
        (["--foo", "list"], "no such option '--foo'"),
        (["lisst"], "there is no command 'lisst': did you mean list?"),
        (["shares", "lst"], "there is no command 'lst': did you mean list?"),
        (["logs", "1", "-n", "-3"], "'-3' is not an integer from 0 up"),
        (["logs", "1", "-n", "1.5"], "'1.5' is not an integer from 0 up"),
        (["logs", "1", "-n", "9" * 20], f"{'9' * 20} is too large"),
        (["list", "-n", "0"], "'0' is not an integer from 1 up"),
        (["list", "--timeout", "x"], "invalid value for '--timeout': 'x' is not a duration"),
        (["api", "FOO", "services"], "'FOO' is not a method; methods are GET, "),
    ],
)
async def test_wrong_usage_is_reported_like_everything_else(
    cli: Cli, arguments: list[str], message: str
) -> None:
    said = one_line(await cli.run(*arguments), 2)
    assert message in said
    # Every message begins in lower case, as what follows a colon.
    assert said.removeprefix("aioservices: ")[0] in "abcdefghijklmnopqrstuvwxyz'"


async def test_a_group_without_a_command_shows_its_help(cli: Cli) -> None:
    ended = await cli.run("shares")
    assert (ended.status, ended.output) == (2, "")
    assert ended.errors == (await cli.run("shares", "--help")).output


async def test_trouble_that_passes_is_waited_for(cli: Cli, emulator: Emulator) -> None:
    emulator.add_service("web")
    emulator.fault(Respond(503, "html"), times=2)
    emulator.fault(Respond(429, "json", retry_after=0), times=1)
    ended = await cli.run("list")
    assert (ended.status, len(ended.lines)) == (0, 2), ended


async def test_a_rate_limit_is_reported_with_the_time_it_lasts(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.fault(Respond(429, "json", retry_after=300))
    with cli.terminal("list") as terminal:
        said = await terminal.until("continuing in 5 min")
        assert "rate limit" in said
        terminal.type("\x03")
        assert (await terminal.end()).status == 130


@pytest.mark.parametrize(
    "arguments",
    [
        ["lst"],
        ["list", "--nonsense"],
        ["list", "--timeout", "soon"],
        ["list", "--url", "nonsense"],
        ["list", "--url", "http://example.com"],
        ["logs"],
        ["deploy", "-"],
    ],
)
async def test_wrong_usage_is_reported_in_one_line(cli: Cli, arguments: list[str]) -> None:
    one_line(await cli.run(*arguments), 2)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "--url must be a URL such as "),
        ("https://example.com/?a=1", "--url must end with its path, without a query or fragment"),
        (
            "https://k@example.com",
            "--url must not hold credentials: put the key into CIVIS_API_KEY",
        ),
    ],
)
async def test_a_wrong_address_is_reported_by_the_name_of_its_option(
    cli: Cli, url: str, message: str
) -> None:
    assert message in one_line(await cli.run("list", "--url", url), 2)


async def test_no_option_is_named_that_the_command_does_not_have(cli: Cli) -> None:
    said = one_line(await cli.run("list", "--url", "http://example.com"), 2)
    assert said == (
        "aioservices: --url is plain http, which would send the API key unencrypted to "
        "example.com: use https\n"
    )


async def test_verbose_reports_requests_without_the_key(cli: Cli, emulator: Emulator) -> None:
    ended = await cli.run("list", "-v")
    assert ended.status == 0
    assert "GET" in ended.errors
    assert emulator.api_key not in ended.errors


@pytest.mark.parametrize(
    "command", ["", "list", "get", "deploy", "redeploy", "logs", "watch", "emulator", "demo"]
)
async def test_help_fits_a_terminal(cli: Cli, command: str) -> None:
    ended = await cli.run(*command.split(), "--help", COLUMNS="80")
    assert (ended.status, ended.errors) == (0, "")
    assert max(map(len, ended.lines)) <= 84


async def test_the_shell_completes_commands(cli: Cli) -> None:
    ended = await cli.run(
        _AIOSERVICES_COMPLETE="bash_complete", COMP_WORDS="aioservices re", COMP_CWORD="1"
    )
    assert ended.lines == ["plain,redeploy"]


async def test_without_the_extra_it_says_how_to_get_it(cli: Cli) -> None:
    code = (
        "import sys; sys.modules['rich'] = None; sys.argv[0] = 'aioservices'\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name: None if name == 'rich' else find(name)\n"
        "from aioservices.__main__ import main; sys.exit(main())"
    )
    for arguments, status in ((["list"], 2), (["--help"], 0), (["--version"], 0)):
        with anyio.fail_after(PATIENCE):
            done = await anyio.run_process([sys.executable, "-c", code, *arguments], check=False)
        assert done.returncode == status
        if status:
            assert done.stderr.decode().count("\n") == 1
            assert b"install aioservices-civis[cli]" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["list"], ["deploy", "1", "--dry-run"], ["get", "1"]]
)
async def test_a_reader_that_has_enough_is_no_failure(
    cli: Cli, emulator: Emulator, arguments: list[str]
) -> None:
    emulator.add_service("web")
    ended = await cli.run_unread(*arguments)
    assert (ended.status, ended.errors) == (0, "")


async def test_a_wait_that_is_too_long_is_not_promised(cli: Cli, emulator: Emulator) -> None:
    emulator.fault(Respond(429, "json", retry_after=700))
    said = one_line(await cli.run("list"), 1)
    assert said == "aioservices: the rate limit is reached: try again in 11 min 40 s\n"


async def test_trouble_names_its_status_although_the_body_says_something_else(
    cli: Cli, emulator: Emulator
) -> None:
    emulator.fault(Respond(500, "html"))
    assert "status 500" in one_line(await cli.run("list"), 1)


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "--json"]])
async def test_an_output_that_is_full_or_closed_is_reported_plainly(
    cli: Cli, emulator: Emulator, full_disk: int, arguments: list[str]
) -> None:
    emulator.add_service("web")
    full = await cli.run_into(full_disk, *arguments)
    with anyio.fail_after(PATIENCE):
        done = await anyio.run_process(
            ["sh", "-c", '"$@" >&-', "sh", *COMMAND, *arguments],
            check=False,
            env=cli.environment(),
        )
    closed = Ended(done.returncode, "", done.stderr.decode())
    for ended, status in ((full, 1), (closed, 2)):
        said = one_line(ended, status)
        assert "output" in said
        assert "should not happen" not in said


async def test_a_key_in_the_url_is_sent_to_the_environment(cli: Cli) -> None:
    said = one_line(await cli.run("list", "--url", "https://user:secret@example.com"), 2)
    assert "CIVIS_API_KEY" in said
    assert "secret" not in said


async def test_what_is_no_tls_is_reported_as_such(cli: Cli, emulator: Emulator) -> None:
    url = emulator.url.replace("http:", "https:")
    assert "TLS" in one_line(await cli.run("list", "--url", url), 1)


async def test_the_emulator_is_helped_with_by_its_name(cli: Cli) -> None:
    assert (await cli.run("emulator", "--help")).output.startswith("usage: aioservices emulator ")


@pytest.mark.parametrize("when", ["imports", "works"])
async def test_ctrl_c_at_the_very_beginning_is_quiet(when: str) -> None:
    # The first thing that it does is to look for click, the second to run the command.
    code = (
        "import importlib.util as u, os, signal, sys\n"
        "import aioservices.__main__ as program\n"
        "def interrupt(*_): os.kill(os.getpid(), signal.SIGINT); return 0\n"
        f"if {when == 'imports'}: u.find_spec = interrupt\n"
        "else:\n"
        "    import aioservices.cli.app as app; app.main = interrupt\n"
        "sys.argv = ['aioservices', 'list']; sys.exit(program.command())"
    )
    with anyio.fail_after(PATIENCE):
        done = await anyio.run_process([sys.executable, "-c", code], check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["get", "web-*", "--json"]])
async def test_ctrl_c_ends_it_although_nobody_reads(
    cli: Cli, emulator: Emulator, arguments: list[str]
) -> None:
    for number in range(100):
        emulator.add_service(f"web-{number}-" + "x" * 2000)
    with cli.start(*arguments) as program:
        await program.until_full()
        assert program.poll() is None
        program.send_signal(signal.SIGINT)
        assert await program.wait() == 128 + signal.SIGINT
