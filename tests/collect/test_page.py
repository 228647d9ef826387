"""The daemon's page, in a browser."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

import aiohttp
import anyio
import pytest
from playwright.async_api import Route, expect

from aioservices.emulator import Emulator
from tests.collect.conftest import Daemon, Daemons
from tests.collect.test_process import until
from tests.servers.browser import OpenPage
from tests.servers.waiting import PATIENCE

HOSTILE = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"


@pytest.fixture
async def daemon(daemons: Daemons, emulator: Emulator) -> AsyncGenerator[Daemon]:
    """A daemon that has stored a line, and has nothing to report any more."""
    emulator.log(1, "an old line")
    with daemons.start("--store", "sqlite:logs.db", "--listen", "127.0.0.1:0") as daemon:
        url = await daemon.until_listening()
        await until(url, "/metrics", "lines_total 1.0")
        await until(url, "/readyz", "ready\n")
        yield daemon


async def status(url: str, **headers: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as response:
        return response.status


async def test_it_shows_the_fleet_and_the_lines_as_they_are_stored(
    daemon: Daemon, emulator: Emulator, open_page: OpenPage
) -> None:
    page = await open_page(daemon.url)
    await expect(page.locator("#state")).to_have_text("Ready")
    await expect(page.locator("#services tr")).to_have_count(2)
    emulator.log(1, "a new line")
    await expect(page.locator("#log")).to_contain_text("a new line")


@pytest.mark.parametrize("width", [360, 390, 1400])
@pytest.mark.parametrize("dark", [False, True])
async def test_it_fits_a_phone_and_a_wide_screen(
    daemon: Daemon, open_page: OpenPage, width: int, dark: bool
) -> None:
    page = await open_page(daemon.url, width=width, dark=dark)
    await expect(page.locator("#services tr")).to_have_count(2)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    table = "document.querySelector('.scroll')"
    assert await page.evaluate(f"{table}.scrollWidth - {table}.clientWidth") == 0


@pytest.mark.parametrize("width", [360, 400])
async def test_what_is_wrong_with_a_forwarder_can_be_read_on_a_phone(
    daemons: Daemons, emulator: Emulator, open_page: OpenPage, width: int
) -> None:
    emulator.log(1, "a line")
    to = ("--forward", "otlp:http://127.0.0.1:9/v1/logs")
    with daemons.start("--store", "sqlite:logs.db", "--listen", "127.0.0.1:0", *to) as daemon:
        page = await open_page(await daemon.until_listening(), width=width)
        await expect(page.locator("#forwarders")).to_contain_text("Connection refused")
        table = "document.querySelector('#forwarding .scroll')"
        assert await page.evaluate(f"{table}.scrollWidth - {table}.clientWidth") == 0


async def test_a_line_of_a_log_is_shown_as_text_whatever_it_holds(
    daemon: Daemon, emulator: Emulator, open_page: OpenPage
) -> None:
    page = await open_page(daemon.url)
    await expect(page.locator("#state")).to_have_text("Ready")
    emulator.log(1, HOSTILE)
    await expect(page.locator("#log")).to_contain_text("<img src=x")
    assert await page.locator("#log img").count() == 0
    assert await page.title() != "broken"


async def test_it_can_be_used_with_the_keyboard_alone(
    daemon: Daemon, emulator: Emulator, open_page: OpenPage
) -> None:
    page = await open_page(daemon.url)
    await expect(page.locator("#services tr")).to_have_count(2)
    await page.keyboard.press("/")
    await page.keyboard.type("1")
    await expect(page.locator("#services tr")).to_have_count(1)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("#lines-title")).to_have_text("Lines of service-1")
    await expect(page.locator("#log")).to_contain_text("an old line")
    await page.keyboard.press("p")
    await expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    emulator.log(1, "while it is paused")
    await expect(page.locator("#note")).to_contain_text("1 lines since it was paused")
    await expect(page.locator("#log")).not_to_contain_text("while it is paused")
    await page.keyboard.press("Escape")
    await expect(page.locator("#lines-title")).to_have_text("Lines of all services")


async def test_stored_lines_can_be_searched(
    daemon: Daemon, emulator: Emulator, open_page: OpenPage
) -> None:
    page = await open_page(daemon.url)
    for n in range(20):
        emulator.log(1, f"request {n} timed out" if n == 7 else f"request {n}")
    await expect(page.locator("#log")).to_contain_text("request 19")
    await page.locator("#services button").first.click()
    await page.locator("#filter").fill("timed out")
    await page.locator("#stored").click()
    await expect(page.locator("#note")).to_contain_text("1 stored lines with")
    await expect(page.locator("#log li")).to_have_count(1)


async def test_no_other_site_can_use_it(daemon: Daemon) -> None:
    for path in ("/", "/api/status", "/api/lines?service=1", "/api/stream", "/assets/page.js"):
        url = daemon.url + path
        assert await status(url, Host="evil.example") == 403
        assert await status(url, Origin="http://evil.example") == 403
        assert await status(url, **{"Sec-Fetch-Site": "cross-site"}) == 403


async def test_a_search_that_makes_no_sense_is_refused(daemon: Daemon) -> None:
    for query in ("", "service=one", "service=1&start_at=yesterday", "service=1&last=many"):
        assert await status(f"{daemon.url}/api/lines?{query}") == 400


async def test_where_others_can_reach_it_it_asks_for_a_token(
    daemons: Daemons, open_page: OpenPage
) -> None:
    token = daemons.folder / "token"
    token.write_text("a-token-of-some-length\n")
    options = ["--store", "sqlite:logs.db", "--listen", "0.0.0.0:0"]
    with daemons.start(*options, "--listen-token-file", str(token)) as daemon:
        url = (await daemon.until_listening()).replace("0.0.0.0", "127.0.0.1")
        assert await status(url) == 401
        assert await status(f"{url}/?token=wrong-token-of-some-length") == 401
        assert await status(url, Authorization="Bearer a-token-of-some-length") == 200
        assert await status(f"{url}/livez") == 200
        page = await open_page(f"{url}/?token=a-token-of-some-length")
        await expect(page.locator("#state")).to_have_text("Ready")
        assert "token" not in page.url
        assert "a-token-of-some-length" not in daemon.errors


async def get(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as response:
        return response.status, await response.text()


@pytest.mark.parametrize("path", ["/", "/api/status", "/metrics", "/readyz", "/livez"])
async def test_nothing_is_served_under_a_foreign_name_or_to_another_site(
    daemon: Daemon, path: str
) -> None:
    assert (await get(daemon.url + path))[0] in {200, 503}
    assert (await get(daemon.url + path, Host="evil.example"))[0] == 403
    assert (await get(daemon.url + path, Origin="http://evil.example"))[0] == 403


@pytest.mark.parametrize("service", ["-1", "9223372036854775808", "abc", "", "1" * 5000, "\u0661"])
async def test_a_service_that_cannot_be_is_a_wrong_request_and_no_trouble(
    daemon: Daemon, service: str
) -> None:
    before = daemon.errors
    status, text = await get(f"{daemon.url}/api/lines?service={service}")
    assert status == 400
    assert "service must be" in text
    assert daemon.errors == before


async def answer_to(url: str, request: bytes) -> bytes:
    """Send bytes as they are, and read all that is answered."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    received = b""
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(request)
        with anyio.fail_after(PATIENCE), contextlib.suppress(anyio.EndOfStream):
            while True:
                received += await stream.receive()
    return received


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer \xff\xfe\r\n", 401),
        (b"GET / HTTP/1.1\r\nHost: here\r\nCookie: aioservices-token=\xff\r\n", 401),
        (b"GET / HTTP/1.1\r\nHost: here\r\nOrigin: http://[\r\n", 403),
        (b"GET /metrics HTTP/1.1\r\nHost: here\r\nAccept: text/plain;version=x.y\r\n", 200),
        (b"GET / HTTP/1.1\r\n", 400),
        (b"\x16\x03\x01 this is TLS\r\n", 400),
    ],
)
async def test_bytes_that_no_browser_sends_are_refused_and_fill_no_log(
    daemons: Daemons, request_: bytes, status: int
) -> None:
    token = daemons.folder / "token"
    token.write_text("a-token-of-some-length\n")
    options = ["--store", "sqlite:logs.db", "--listen", "0.0.0.0:0"]
    with daemons.start(*options, "--listen-token-file", str(token)) as daemon:
        url = (await daemon.until_listening()).replace("0.0.0.0", "127.0.0.1")
        await until(url, "/readyz", "ready\n")  # and so has nothing else to report
        said = daemon.errors
        answer = await answer_to(url, request_ + b"Connection: close\r\n\r\n")
        assert int(answer.split(b" ", 2)[1]) == status
        assert daemon.errors == said


async def test_a_line_that_comes_while_stored_ones_are_read_is_shown_once(
    daemon: Daemon, emulator: Emulator, open_page: OpenPage
) -> None:
    page = await open_page(daemon.url)
    await expect(page.locator("#services tr")).to_have_count(2)

    async def hold_back(route: Route) -> None:
        # The stream is first, and what is stored has the line too.
        await expect(page.locator("#log")).to_contain_text("a line meanwhile")
        await route.continue_()

    await page.route("**/api/lines*", hold_back)
    await page.locator("#services button").first.click()
    emulator.log(1, "a line meanwhile")
    await expect(page.locator("#log")).to_contain_text("an old line")
    assert await page.locator("#log li", has_text="a line meanwhile").count() == 1


async def test_a_line_that_the_stream_brings_after_it_was_read_is_shown_once(
    daemon: Daemon, open_page: OpenPage
) -> None:
    page = await open_page(daemon.url)
    await page.locator("#services button").first.click()
    await expect(page.locator("#log")).to_contain_text("an old line")
    line = {"service": 1, "seq": 1, "time": "2026-01-01T00:00:00.000Z", "message": "an old line"}
    await page.evaluate("line => showLines([line, { ...line, seq: 2, message: 'new' }])", line)
    assert await page.locator("#log li").all_inner_texts() == [
        await page.locator("#log li").first.inner_text(),
        "00:00:00.000\nnew",
    ]


async def test_an_answer_that_comes_too_late_does_not_replace_what_is_shown_now(
    daemon: Daemon, emulator: Emulator, open_page: OpenPage
) -> None:
    page = await open_page(daemon.url)
    await page.locator("#services button").first.click()
    await expect(page.locator("#log")).to_contain_text("an old line")
    asked, left = anyio.Event(), anyio.Event()

    async def hold_back(route: Route) -> None:
        if "contains" in route.request.url:
            asked.set()
            await left.wait()
        await route.continue_()

    await page.route("**/api/lines*", hold_back)
    await page.locator("#stored").click()
    with anyio.fail_after(PATIENCE):
        await asked.wait()
    await page.keyboard.press("Escape")
    async with page.expect_response(lambda response: "contains" in response.url):
        left.set()
    emulator.log(1, "live again")
    await expect(page.locator("#log")).to_contain_text("live again")
    await expect(page.locator("#note")).to_have_text("")


async def test_what_came_while_a_service_was_paused_is_shown_afterwards(
    daemon: Daemon, emulator: Emulator, open_page: OpenPage
) -> None:
    page = await open_page(daemon.url)
    await page.locator("#services button").first.click()
    await expect(page.locator("#log")).to_contain_text("an old line")
    await page.locator("#pause").click()
    emulator.log(1, "while it is paused")
    await expect(page.locator("#note")).to_contain_text("1 lines since it was paused")
    await page.locator("#pause").click()
    await expect(page.locator("#log")).to_contain_text("while it is paused")


async def test_of_a_long_line_as_much_is_shown_as_anybody_reads(
    daemon: Daemon, emulator: Emulator, open_page: OpenPage
) -> None:
    page = await open_page(daemon.url)
    await expect(page.locator("#state")).to_have_text("Ready")
    emulator.log(1, "x" * 50_000)
    await expect(page.locator("#log")).to_contain_text("and 40,000 more characters")
