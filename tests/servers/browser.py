"""Headless Chromium, for the pages that people view.

It is the one that the system has (Debian's package `chromium`); where there is none, the tests that
need it are skipped and say so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:  # it takes half a second, and few tests need it
    from playwright.async_api import Browser, Page, Request

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
# Milliseconds; a failure, not a measurement.
_PATIENCE = 120_000
OpenPage = Callable[..., Coroutine[Any, Any, "Page"]]


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Start a browser for the tests of a module, each of which has a separate profile in it."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=_PATIENCE)  # which no setting of a page reaches
    async with async_playwright() as playwright:
        root = hasattr(os, "geteuid") and os.geteuid() == 0  # whose browser has no sandbox
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, chromium_sandbox=not root, timeout=_PATIENCE
        )
        yield browser
        await browser.close()


@pytest.fixture
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """Return a function that opens a page with a width and a colour scheme.

    A page that raises an error, or that asks another machine for anything, fails the test.
    """
    faults: list[str] = []

    def note(request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in {"data", "blob", "about", "file"} and url.hostname != "127.0.0.1":
            faults.append(f"asks another machine: {request.url}")

    async with AsyncExitStack() as stack:

        async def open_page(url: str, *, width: int = 1280, dark: bool = False) -> Page:
            context = await browser.new_context(
                viewport={"width": width, "height": 800},
                color_scheme="dark" if dark else "light",
                reduced_motion="reduce",
                timezone_id="Asia/Kathmandu",  # whose time nobody takes for UTC
            )
            context.set_default_timeout(_PATIENCE)
            stack.push_async_callback(context.close)
            page = await context.new_page()
            page.on("pageerror", lambda error: faults.append(f"raises: {error}"))
            page.on("request", note)
            await page.goto(url)
            return page

        yield open_page
    assert not faults
