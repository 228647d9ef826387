"""The page at `/`: who may use it, and what a person sees and does on it."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import pytest

from aioservices.emulator import Delay, Emulator, Respond
from aioservices.emulator.page import SWITCHES
from tests.emulator.conftest import Client
from tests.servers.browser import OpenPage
from tests.servers.waiting import PATIENCE

if TYPE_CHECKING:
    from playwright.async_api import Page, Route

SHELL = ["/", "/_emulator/page.css", "/_emulator/page.js"]
DATA = [
    ("GET", "/_emulator/overview"),
    ("GET", "/_emulator/logs/1"),
    ("POST", "/_emulator/services/1/deploy"),
    ("POST", "/_emulator/services/1/stop"),
    ("POST", "/_emulator/switches/outage"),
    ("DELETE", "/_emulator/switches/outage"),
    ("DELETE", "/_emulator/faults/1"),
]


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    return {"services": 2, "pending_for": 0.0}


class Visitor:
    """Sends what a browser would send from the page, by default."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self.headers = {
            "Authorization": f"Bearer {emulator._app.page.token}",
            "Origin": emulator.url,
        }

    async def ask(
        self, method: str, path: str, changed: Mapping[str, str | None] | None = None
    ) -> tuple[int, Any]:
        headers = {
            name: value
            for name, value in {**self.headers, **(changed or {})}.items()
            if value is not None
        }
        async with self.session.request(
            method, self.emulator.url + path, headers=headers
        ) as response:
            is_json = response.content_type == "application/json"
            return response.status, await (response.json() if is_json else response.text())

    async def overview(self, search: str = "") -> Any:
        status, overview = await self.ask("GET", f"/_emulator/overview?search={search}")
        assert status == 200, overview
        return overview


@pytest.fixture
def visitor(emulator: Emulator, session: aiohttp.ClientSession) -> Visitor:
    return Visitor(emulator, session)


@pytest.mark.parametrize("path", SHELL)
async def test_what_needs_no_token_holds_no_secret_and_nothing_of_the_state(
    visitor: Visitor, path: str
) -> None:
    visitor.emulator.add_service("a-service-of-mine")
    status, text = await visitor.ask("GET", path, {"Authorization": None, "Origin": None})
    assert status == 200
    for secret in (visitor.emulator.api_key, visitor.emulator._app.page.token, "of-mine"):
        assert secret not in text


@pytest.mark.parametrize("path", SHELL)
async def test_what_needs_no_token_loads_nothing_from_elsewhere(
    visitor: Visitor, path: str
) -> None:
    _, text = await visitor.ask("GET", path)
    assert "//" not in text.replace("// ", "").replace("http://www.w3.org", "")


@pytest.mark.parametrize("token", [None, "Bearer ", "Bearer wrong", "Basic {token}", "{token}"])
@pytest.mark.parametrize(("method", "path"), DATA)
async def test_without_its_token_the_page_shows_and_changes_nothing(
    visitor: Visitor, method: str, path: str, token: str | None
) -> None:
    emulator = visitor.emulator
    given = token and token.format(token=emulator._app.page.token)
    status, body = await visitor.ask(method, path, {"Authorization": given})
    assert status == 403
    assert "token" in body["errorDescription"]
    assert emulator.deploys == {}
    assert not emulator._faults.active()


async def test_the_key_of_the_api_is_not_the_token_of_the_page(visitor: Visitor) -> None:
    key = {"Authorization": f"Bearer {visitor.emulator.api_key}"}
    assert (await visitor.ask("GET", "/_emulator/overview", key))[0] == 403


@pytest.mark.parametrize("path", [*SHELL, "/_emulator/overview"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1"]
)
async def test_a_host_that_is_not_loopback_is_refused(
    visitor: Visitor, path: str, host: str
) -> None:
    status, body = await visitor.ask("GET", path, {"Host": host, "Origin": None})
    assert status == 403
    assert "this machine" in body["errorDescription"]


async def test_the_page_is_served_under_every_name_of_loopback(visitor: Visitor) -> None:
    port = visitor.emulator.url.rpartition(":")[2]
    for name in (f"localhost:{port}", "127.0.0.1:9999"):
        headers = {"Host": name, "Origin": f"http://{name}"}
        assert (await visitor.ask("GET", "/_emulator/overview", headers))[0] == 200


@pytest.mark.parametrize(("method", "path"), DATA)
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "http://localhost"]
)
async def test_another_origin_is_refused(
    visitor: Visitor, method: str, path: str, origin: str
) -> None:
    status, body = await visitor.ask(method, path, {"Origin": origin})
    assert status == 403
    assert "origin" in body["errorDescription"]
    assert visitor.emulator.deploys == {}


async def test_a_change_without_an_origin_is_refused(visitor: Visitor) -> None:
    status, _ = await visitor.ask("POST", "/_emulator/services/1/deploy", {"Origin": None})
    assert (status, visitor.emulator.deploys) == (403, {})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/_emulator/", 404),
        ("GET", "/_emulator/unknown", 404),
        ("GET", "/_emulator/logs/9", 404),
        ("GET", "/_emulator/logs/x", 404),
        ("GET", "/_emulator/logs/" + "9" * 30, 404),
        ("POST", "/_emulator/overview", 404),
        ("POST", "/_emulator/services/9/deploy", 404),
        ("POST", "/_emulator/services/1/explode", 404),
        ("POST", "/_emulator/services/1/stop", 409),
        ("POST", "/_emulator/switches/unknown", 404),
        ("DELETE", "/_emulator/faults/999999", 404),
        ("POST", "/", 405),
    ],
)
async def test_what_cannot_be_done_says_why(
    visitor: Visitor, method: str, path: str, status: int
) -> None:
    found, body = await visitor.ask(method, path)
    assert found == status
    assert body["errorDescription"]


async def test_nothing_else_may_frame_cache_or_script_the_page(visitor: Visitor) -> None:
    async with visitor.session.get(visitor.emulator.url + "/") as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Referrer-Policy"] == "no-referrer"


async def test_the_page_takes_part_in_no_fault_no_record_and_no_rate_limit(
    session: aiohttp.ClientSession,
) -> None:
    async with Emulator(services=1, rate_limit=1) as emulator:
        visitor = Visitor(emulator, session)
        fault = emulator.fault(Respond(503))
        for _ in range(3):
            await visitor.overview()
        assert (fault.hits, len(emulator.requests), emulator.statuses) == (0, 0, {})


async def test_the_overview_shows_services_with_their_states(visitor: Visitor) -> None:
    emulator = visitor.emulator
    emulator.add_service("job", command=["true"])
    emulator.deploy(1)
    emulator.deploy(2)
    emulator.set_state(2, "failed", message="out of memory")
    overview = await visitor.overview()
    shown = [(each["name"], each["state"], each["message"]) for each in overview["services"]]
    assert shown == [
        ("service-1", "running", ""),
        ("service-2", "failed", "out of memory"),
        ("job", "not deployed", ""),
    ]
    assert [each["isProgram"] for each in overview["services"]] == [False, False, True]
    assert (overview["total"], overview["running"]) == (3, 1)


async def test_services_are_found_by_a_part_of_their_name_or_by_their_id(
    visitor: Visitor,
) -> None:
    visitor.emulator.add_service("Dashboard")
    found = [
        [each["id"] for each in (await visitor.overview(search))["services"]]
        for search in ("dash", "SERVICE", "3", "nothing")
    ]
    assert found == [[3], [1, 2], [3], []]


async def test_a_long_listing_is_cut_and_says_so(visitor: Visitor) -> None:
    for number in range(250):
        visitor.emulator.add_service(f"web-{number}")
    overview = await visitor.overview("web")
    assert (len(overview["services"]), overview["matching"], overview["total"]) == (200, 250, 252)


async def test_a_service_is_deployed_and_stopped(visitor: Visitor, client: Client) -> None:
    assert (await visitor.ask("POST", "/_emulator/services/1/deploy"))[0] == 204
    assert (await client.get("/services/1"))["currentDeployment"]["state"] == "running"
    assert (await visitor.ask("POST", "/_emulator/services/1/stop"))[0] == 204
    current = (await client.get("/services/1"))["currentDeployment"]
    assert (current["state"], current["stateMessage"]) == ("terminated", "Stopped on the page")


@pytest.mark.parametrize("name", [switch.name for switch in SWITCHES])
async def test_each_switch_does_something_until_it_is_switched_off(
    visitor: Visitor, name: str
) -> None:
    path = f"/_emulator/switches/{name}"
    for _ in range(2):  # to switch it on twice changes nothing
        assert (await visitor.ask("POST", path))[0] == 204
    shown = {each["name"]: each for each in (await visitor.overview())["switches"]}
    assert [each for each in shown if shown[each]["on"]] == [name]
    faults = visitor.emulator._faults
    [fault] = faults.active()
    for _ in range(20):
        faults.select("POST", "/services/1/deployments")
    assert fault.hits > 0
    shown = {each["name"]: each for each in (await visitor.overview())["switches"]}
    assert shown[name]["hits"] == fault.hits
    assert (await visitor.ask("DELETE", path))[0] == 204
    assert not faults.active()


async def test_a_fault_that_code_has_set_is_shown_and_removed(visitor: Visitor) -> None:
    fault = visitor.emulator.fault(Delay(1.5), path="/services/*")
    [shown] = (await visitor.overview())["faults"]
    assert shown["effect"] == "Delay(seconds=1.5)"
    assert shown["requests"] == "all methods, /services/*"
    assert (await visitor.ask("DELETE", f"/_emulator/faults/{shown['id']}"))[0] == 204
    assert fault.spent
    assert (await visitor.overview())["faults"] == []


async def test_a_log_is_sent_again_only_when_it_has_changed(visitor: Visitor) -> None:
    visitor.emulator.log(1, "first")
    _, log = await visitor.ask("GET", "/_emulator/logs/1")
    assert [line["message"] for line in log["lines"]] == ["first"]
    path = f"/_emulator/logs/1?after={log['version']}"
    assert (await visitor.ask("GET", path))[1]["lines"] is None
    visitor.emulator.log(1, "second")
    _, log = await visitor.ask("GET", path)
    assert [line["message"] for line in log["lines"]] == ["first", "second"]


async def test_the_last_requests_are_shown_newest_first(visitor: Visitor, client: Client) -> None:
    await client.call("GET", "/services/1")
    await client.call("GET", "/services/9")
    overview = await visitor.overview()
    shown = [(each["method"], each["path"], each["status"]) for each in overview["requests"]]
    assert shown == [("GET", "/services/9", 404), ("GET", "/services/1", 200)]
    assert overview["answered"] == 2


# --- in a browser ---

MARKUP = '<img src=x onerror="document.title=1"> & <b>bold</b>'


async def shown_lines(page: "Page") -> list[str]:
    return await page.locator("#lines li span").all_inner_texts()


async def test_the_printed_address_opens_the_page_and_hides_its_token(
    emulator: Emulator, open_page: OpenPage
) -> None:
    page = await open_page(emulator.page_url)
    await page.get_by_text("service-1", exact=True).wait_for()
    await page.get_by_text(f"CIVIS_API_ENDPOINT={emulator.url}").wait_for()
    assert page.url == emulator.url + "/"
    await page.reload()
    await page.get_by_text("service-1", exact=True).wait_for()


async def test_without_the_token_the_page_asks_for_it(
    emulator: Emulator, open_page: OpenPage
) -> None:
    page = await open_page(emulator.url)
    field = page.get_by_label("Token", exact=True)
    await field.wait_for()
    await page.keyboard.type("wrong")  # the field has the focus
    await page.keyboard.press("Enter")
    await page.get_by_text("That token is not the one of this emulator.").wait_for()
    assert not await page.locator("#main").is_visible()
    await field.fill(emulator.page_url)  # the whole address will do
    await page.keyboard.press("Enter")
    await page.get_by_text("service-1", exact=True).wait_for()


async def test_after_a_restart_the_page_asks_for_the_new_token_and_continues_with_it(
    open_page: OpenPage, closed_port: int
) -> None:
    async with Emulator(services=2, port=closed_port) as emulator:
        page = await open_page(emulator.page_url)
        await page.get_by_label("Log of service-2").click()
        await page.get_by_text("service-2 has not been deployed").wait_for()
    restarted = page.get_by_role("alert").get_by_text("was started again, and has a new token")
    async with Emulator(services=1, port=closed_port) as emulator:
        await restarted.wait_for()
        assert not await page.locator("#main").is_visible()
        assert not await page.get_by_text("2 services").is_visible()
        await page.goto(emulator.page_url)  # in the same tab, whose page stays loaded
        await page.get_by_text("service-1 has not been deployed").wait_for()
        assert not await page.get_by_role("alert").is_visible()
    async with Emulator(services=1, port=closed_port):
        await page.reload()
        await restarted.wait_for()
        await page.close()


async def test_a_refusal_of_an_earlier_token_does_not_take_away_the_right_one(
    emulator: Emulator, open_page: OpenPage
) -> None:
    page = await open_page(emulator.url)
    asked, left = anyio.Event(), anyio.Event()

    async def hold_back(route: "Route") -> None:
        if route.request.headers["authorization"] == "Bearer wrong":
            asked.set()
            await left.wait()
        await route.continue_()

    await page.route("**/_emulator/overview*", hold_back)
    field = page.get_by_label("Token", exact=True)
    await field.fill("wrong")
    await page.keyboard.press("Enter")
    with anyio.fail_after(PATIENCE):
        await asked.wait()
    await field.fill(emulator.page_url)
    await page.keyboard.press("Enter")
    await page.get_by_text("service-1", exact=True).wait_for()
    async with page.expect_response(lambda response: response.status == 403):
        left.set()
    emulator.add_service("after")
    await page.get_by_text("after", exact=True).wait_for()


async def test_a_log_that_is_gone_does_not_take_away_the_one_that_was_chosen_meanwhile(
    emulator: Emulator, open_page: OpenPage
) -> None:
    chosen = emulator.add_service("chosen")
    page = await open_page(emulator.page_url)
    await page.get_by_label("Log of service-1").click()
    asked, left = anyio.Event(), anyio.Event()

    async def hold_back(route: "Route") -> None:
        asked.set()
        await left.wait()
        await route.continue_()

    await page.route("**/_emulator/logs/1?*", hold_back)
    with anyio.fail_after(PATIENCE):
        await asked.wait()
    await page.get_by_label("Log of chosen").click()
    emulator.remove_service(1)
    async with page.expect_response(lambda response: response.status == 404):
        left.set()
    emulator.log(chosen, "a line of it")
    await page.locator("#lines").get_by_text("a line of it").wait_for()


async def test_times_are_in_utc_wherever_the_browser_is(
    emulator: Emulator, open_page: OpenPage, client: Client
) -> None:
    service_id = emulator.add_service("timed")
    emulator.log(service_id, "a line")
    await client.get(f"/services/{service_id}")
    page = await open_page(emulator.page_url)
    await page.get_by_text("times are UTC").wait_for()
    await page.get_by_label("Log of timed").click()
    await page.locator("#lines").get_by_text("a line").wait_for()
    times = page.locator("#lines time, #calls time")
    assert await times.count() >= 2
    for each in await times.all():
        whole = await each.get_attribute("title") or ""
        age = datetime.now(UTC) - datetime.fromisoformat(whole)
        assert timedelta(0) <= age < timedelta(hours=1)
        assert await each.inner_text() == whole[11:19]


async def test_names_messages_and_lines_are_shown_as_text(
    emulator: Emulator, open_page: OpenPage
) -> None:
    service_id = emulator.add_service(MARKUP)
    emulator.log(service_id, MARKUP)
    emulator.set_state(service_id, "failed", message=MARKUP)
    emulator.fault(Respond(503, body=MARKUP), path="/none")
    page = await open_page(emulator.page_url)
    await page.get_by_label(f"Log of {MARKUP}").click()
    await page.locator("#lines").get_by_text(MARKUP).wait_for()
    assert await page.get_by_text(MARKUP).count() >= 3
    assert await page.locator("img, b").count() == 0
    assert await page.title() == "aioservices emulator"


async def test_a_log_is_followed_while_it_grows_and_a_late_line_is_put_in_its_place(
    emulator: Emulator, open_page: OpenPage
) -> None:
    now = emulator._clock()
    for number in range(450):
        emulator.log(1, f"line {number}", at=now + number * 10**6)
    page = await open_page(emulator.page_url)
    await page.get_by_text("line 449", exact=True).wait_for()
    assert await shown_lines(page) == [f"line {number}" for number in range(50, 450)]
    bottom = "(list) => list.scrollHeight - list.scrollTop - list.clientHeight"
    assert await page.locator("#lines").evaluate(bottom) < 40
    emulator.log(1, "newest", at=now + 450 * 10**6)
    await page.get_by_text("newest", exact=True).wait_for()
    assert (await shown_lines(page))[-2:] == ["line 449", "newest"]
    assert await page.locator("#lines").evaluate(bottom) < 40
    emulator.log(1, "late", at=now + 448 * 10**6)
    await page.get_by_text("late", exact=True).wait_for()
    assert (await shown_lines(page))[-4:] == ["line 448", "late", "line 449", "newest"]


async def test_everything_can_be_done_with_the_keyboard(
    emulator: Emulator, open_page: OpenPage
) -> None:
    page = await open_page(emulator.page_url)
    await page.get_by_text("service-1", exact=True).wait_for()
    focused = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.id"
    reached: list[str] = []
    for _ in range(30):
        await page.keyboard.press("Tab")
        name = await page.evaluate(focused)
        reached.append(name)
        if name in {"Deploy service-2", "switch-slow"}:
            await page.keyboard.press("Enter")
            await (
                page.get_by_role("status")
                .filter(has_text="deployed" if "service" in name else "on")
                .wait_for(state="attached")
            )
            assert await page.evaluate(focused) == name  # what changes does not take the focus
        if name == "switch-lost":
            break
    assert reached[-1] == "switch-lost"
    assert emulator.deploys == {2: 1}
    assert [fault.effect for fault in emulator._faults.active()] == [Delay(2.0)]
    await page.get_by_role("switch", name="Slow", checked=True).wait_for()


async def test_a_service_that_is_stopped_on_the_page_is_seen_to_stop(
    emulator: Emulator, open_page: OpenPage
) -> None:
    command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
    emulator.add_service("job", command=command)
    page = await open_page(emulator.page_url)
    row = page.get_by_role("row").filter(has_text="job")
    await row.get_by_label("Deploy job").click()
    await row.get_by_label("Log of job").click()
    await page.locator("#lines").get_by_text("up").wait_for()
    await row.get_by_text("running").wait_for()
    await row.get_by_label("Stop job").click()
    await row.get_by_text("terminated").wait_for()
    assert await row.get_by_label("Stop job").is_disabled()


async def test_the_page_says_when_the_emulator_is_gone_and_continues_when_it_is_back(
    open_page: OpenPage, closed_port: int
) -> None:
    emulator = Emulator(services=1, port=closed_port)
    async with emulator:
        page = await open_page(emulator.page_url)
        await page.get_by_text("service-1", exact=True).wait_for()
    await page.get_by_text("The emulator does not answer.").wait_for()
    async with emulator:
        emulator.add_service("after")
        await page.get_by_text("after", exact=True).wait_for()
        assert not await page.get_by_role("alert").is_visible()
        await page.close()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 800, 1600])
async def test_the_page_fits_its_window_and_can_be_read(
    emulator: Emulator, open_page: OpenPage, width: int, dark: bool
) -> None:
    emulator.add_service("a-name-without-any-space" * 8)
    emulator.log(3, "a-line-without-any-space" * 20)
    emulator.set_state(3, "failed", message="a-message-without-any-space" * 4)
    page = await open_page(emulator.page_url, width=width, dark=dark)
    await page.get_by_label("Log of a-name").click()
    await page.get_by_text("a-line-without").wait_for()
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    assert await faint_texts(page) == {}


@pytest.mark.parametrize("dark", [False, True])
async def test_what_is_under_the_pointer_can_be_read(
    emulator: Emulator, open_page: OpenPage, dark: bool
) -> None:
    page = await open_page(emulator.page_url, dark=dark)
    await page.get_by_label("Log of service-1").click()
    await page.locator('button[aria-pressed="true"]').wait_for()
    shown = await page.locator("button:enabled").all()
    buttons = [each for each in shown if await each.is_visible()]
    assert len(buttons) > 5
    for button in buttons:
        await button.hover()
        assert await faint_texts(page) == {}


async def faint_texts(page: "Page") -> dict[str, float]:
    """Give the texts with less contrast than WCAG 2 asks for."""
    ratios = await page.evaluate(CONTRASTS)
    assert len(ratios) > 10
    return {text: ratio for text, ratio in ratios if ratio < 4.5}


# The contrast of each text with what is behind it, as WCAG 2 computes it.
CONTRASTS = """() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[0-9.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const { rgb, a } = parse(getComputedStyle(each).backgroundColor);
      if (a > 0) return rgb;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility()) continue;
    if (element.closest(":disabled, .hidden, .skip")) continue;
    const { rgb } = parse(getComputedStyle(element).color);
    const [low, high] = [luminance(rgb), luminance(ground(element))].sort((a, b) => a - b);
    found.push([element.textContent.trim().slice(0, 40), (high + 0.05) / (low + 0.05)]);
  }
  return found;
}"""
