"""The documentation as people see it: built, and opened in a browser."""

import inspect
import mimetypes
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import aioservices
import aioservices.emulator
import aioservices.stores
from tests.pages import ROOT
from tests.servers.browser import OpenPage
from tests.servers.sharing import make_once

PAGES = ["index.html", "concepts/tail.html", "reference/endpoints.html", "how-to/upgrade.html"]
PAGES += ["reference/services.html"]
# To build the site takes long, and `make docs` sees to its warnings.
pytestmark = pytest.mark.slow
PACKAGES = [aioservices, aioservices.emulator, aioservices.stores]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; a warning, as of a link that leads nowhere, is an error."""
    return make_once(tmp_path_factory, "site", build)


def build(folder: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
async def address(site: Path) -> AsyncIterator[str]:
    """Serve the site."""

    async def serve(request: web.Request) -> web.Response:
        path = site / request.match_info["path"]
        if not path.is_file():
            raise web.HTTPNotFound
        # Whole and at once: a handler that aiohttp cancels while it opens a file, because the
        # browser has gone on to the next page, leaves that file open.
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return web.Response(body=path.read_bytes(), headers={"Content-Type": kind})

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("/"))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_a_page_fits_its_window_and_asks_no_other_machine(
    address: str, open_page: OpenPage, width: int, dark: bool, name: str
) -> None:
    page = await open_page(address + name, width=width, dark=dark)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    scheme = await page.evaluate("document.body.dataset.mdColorScheme")
    assert scheme == ("slate" if dark else "default")


async def test_no_table_scrolls_sideways_on_a_phone(address: str, open_page: OpenPage) -> None:
    page = await open_page(address + PAGES[0], width=390)
    for name in [*PAGES, "collect.html", "how-to/keys.html"]:
        await page.goto(address + name)
        # The theme's own script has put the tables where they would scroll.
        await (
            page.locator("body:not(:has(.md-typeset table:not([class])))")
            .or_(page.locator(".md-typeset__scrollwrap").first)
            .wait_for()
        )
        wide = await page.evaluate(
            """[...document.querySelectorAll('.md-typeset__scrollwrap')]
            .filter(each => each.scrollWidth > each.clientWidth)
            .map(each => each.innerText)"""
        )
        assert wide == [], name


async def test_what_is_copied_from_a_console_is_what_is_typed(
    address: str, open_page: OpenPage
) -> None:
    page = await open_page(f"{address}tutorial.html")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copied: list[str] = []
    for number in range(2):
        button = page.locator(".highlight", has=page.locator(".gp")).nth(number)
        await page.evaluate("navigator.clipboard.writeText('')")
        await button.get_by_role("button").click()
        await page.wait_for_function("async () => await navigator.clipboard.readText() !== ''")
        copied += (await page.evaluate("navigator.clipboard.readText()")).split("\n")
    assert copied == [
        "python3 -m venv .venv",
        ".venv/bin/pip install ~/aioservices'[cli]'",
        "source .venv/bin/activate",
        "source .venv/bin/activate",
        "python -m aioservices.emulator --port 8080 --services 3 --api-key tutorial",
    ]


@pytest.mark.parametrize("from_disk", [False, True], ids=["served", "from disk"])
async def test_the_search_finds_a_call(
    site: Path, address: str, open_page: OpenPage, from_disk: bool
) -> None:
    page = await open_page(f"{site.as_uri()}/index.html" if from_disk else f"{address}index.html")
    # Key by key, as people type: the page reacts when a key is released.
    await page.get_by_role("textbox", name="Search").press_sequentially("deploy_many")
    await page.locator(".md-search-result__link", has_text="deploy_many").first.wait_for()


def test_the_site_has_no_files_of_python(site: Path) -> None:
    assert not [*site.rglob("*.py*"), *site.rglob("__pycache__")]


def test_the_reference_shows_defaults_by_their_values(site: Path) -> None:
    text = unescape(
        re.sub("<[^>]+>", "", (site / "reference" / "services.html").read_text("utf-8"))
    )
    assert "retry: RetryPolicy = RetryPolicy()," in text
    assert "max_body_size: int = 268435456," in text


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_the_reference_has_every_public_name(site: Path, package: object) -> None:
    text = "".join(page.read_text("utf-8") for page in (site / "reference").glob("*.html"))
    prefix = getattr(package, "__name__", "")
    names = [each for each in getattr(package, "__all__", []) if not each.startswith("_")]
    assert names
    assert [each for each in names if f'id="{prefix}.{each}"' not in text] == []


def test_no_dash_of_the_reference_leads_to_nothing(site: Path) -> None:
    for page in (site / "reference").glob("*.html"):
        text = re.sub("<[^>]+>", "", re.sub("</li>", "END", page.read_text("utf-8")))
        assert re.findall(r"\S+\s+\u2013\s+END", text) == [], page.name


def test_the_reference_has_each_of_the_26_endpoints(site: Path) -> None:
    text = (site / "reference" / "endpoints.html").read_text("utf-8")
    assert text.count("/services") >= 26
    assert text.count('href="services.html#aioservices.Services.') == 27  # and `request`


def test_the_reference_has_no_member_that_is_not_public(site: Path) -> None:
    text = "".join(page.read_text("utf-8") for page in (site / "reference").glob("*.html"))
    marked = [name for name, doc in members() if "Not part of the public interface." in doc]
    assert "aioservices.LogTail.take" in marked
    assert [each for each in marked if f'id="{each}"' in text] == []
    assert 'id="aioservices.LogTail.cursor"' in text


def members() -> list[tuple[str, str]]:
    """Give the members of the public classes, each with its docstring."""
    return [
        (
            f"{package.__name__}.{name}.{member}",
            inspect.getdoc(getattr(value, "__func__", value)) or "",
        )
        for package in PACKAGES
        for name in package.__all__
        if inspect.isclass(holder := getattr(package, name))
        for member, value in vars(holder).items()
    ]
