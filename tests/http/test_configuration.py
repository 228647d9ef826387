"""Settings that make no sense: each is named, before anything is sent, and no other is blamed."""

from collections.abc import Mapping
from typing import Any

import pytest

from aioservices import Services, ServicesError

KEY = "0123456789abcdef"
URL = "https://api.example.org"

ENVIRONMENT = [
    ({"ALL_PROXY": "socks://127.0.0.1:1"}, "ALL_PROXY"),
    ({"HTTPS_PROXY": "http://proxy..example.org:1"}, "HTTPS_PROXY"),
    ({"HTTPS_PROXY": "http://proxy.example.org:port"}, "HTTPS_PROXY"),
    ({"https_proxy": "http://proxy.example.org:port"}, "https_proxy"),
    ({"https_proxy": "socks://a", "HTTPS_PROXY": "http://127.0.0.1:1"}, "https_proxy"),
    ({"all_proxy": "socks://127.0.0.1:1"}, "all_proxy"),
    ({"All_Proxy": "socks://127.0.0.1:1"}, "All_Proxy"),
    ({"CIVIS_API_ENDPOINT": f"{URL}?"}, "CIVIS_API_ENDPOINT"),
    ({"CIVIS_API_ENDPOINT": f"{URL}#"}, "CIVIS_API_ENDPOINT"),
    ({"CIVIS_API_ENDPOINT": "https://a..b/"}, "CIVIS_API_ENDPOINT"),
    ({"CIVIS_API_ENDPOINT": f"https://{'a' * 64}.org/"}, "CIVIS_API_ENDPOINT"),
    ({"CIVIS_API_ENDPOINT": "https://a\\b/"}, "CIVIS_API_ENDPOINT"),
    ({"CIVIS_JOB_ID": "1\n"}, "CIVIS_JOB_ID"),
    ({"CIVIS_JOB_ID": " 1"}, "CIVIS_JOB_ID"),
    ({"CIVIS_RUN_ID": "1\r\nX-Other: 2"}, "CIVIS_RUN_ID"),
    ({"CIVIS_RUN_ID": "één"}, "CIVIS_RUN_ID"),
    ({"CIVIS_API_KEY": f"{KEY}\n"}, "CIVIS_API_KEY"),
    ({"CIVIS_API_KEY": "ключ"}, "CIVIS_API_KEY"),
    ({"CIVIS_API_KEY": f"{KEY}\udcff"}, "CIVIS_API_KEY"),
]


@pytest.mark.parametrize(("environment", "name"), ENVIRONMENT)
def test_an_environment_variable_that_cannot_be_used_is_named(
    environment: Mapping[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIS_API_KEY", KEY)
    monkeypatch.setenv("CIVIS_API_ENDPOINT", URL)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=rf"^{name} ") as caught:
        Services()
    assert type(caught.value) is ValueError


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"base_url": "https://a..b/"}, "base_url"),
        ({"base_url": f"{URL}/?"}, "base_url"),
        ({"api_key": "a\nb"}, "api_key"),
        ({"api_key": "ключ"}, "api_key"),
        ({"user_agent": "a\nb"}, "user_agent"),
        ({"user_agent": 5}, "user_agent"),
        ({"max_connections": 0}, "max_connections"),
        ({"timeout": float("nan")}, "timeout"),
        ({"max_body_size": 0}, "max_body_size"),
        ({"allow_http": "false"}, "allow_http"),
        ({"trust_env": 0}, "trust_env"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(arguments: Any, name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^{name} ") as caught:
        Services(**{"api_key": KEY, "base_url": URL} | arguments)
    assert type(caught.value) in {TypeError, ValueError}


@pytest.mark.parametrize("host", ["bücher.example", "EXAMPLE.org", "ex_ample.org", "[::1]"])
def test_a_host_that_can_be_looked_up_is_taken(host: str) -> None:
    assert not Services(KEY, base_url=f"https://{host}/").closed


@pytest.mark.parametrize("path", ["\udcff", "a\udcff/b"])
async def test_a_path_that_cannot_be_sent_is_named(path: str) -> None:
    async with Services(KEY, base_url="http://127.0.0.1:1") as services:
        with pytest.raises(ValueError, match="path must"):
            await services.request("GET", path)


async def test_a_query_that_cannot_be_sent_is_named() -> None:
    async with Services(KEY, base_url="http://127.0.0.1:1") as services:
        with pytest.raises(ValueError, match="q must"):
            await services.request("GET", "users", params={"q": "\udcff"})
        with pytest.raises(ValueError, match="author must"):
            await services.list(author="\udcff")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_host_that_does_not_exist_is_an_error_of_ours(method: str) -> None:
    once = Services(KEY, base_url="https://no-such-host.invalid")
    async with once as services:
        from aioservices import RetryPolicy

        view = services.with_options(retry=RetryPolicy(max_attempts=1))
        with pytest.raises(ServicesError, match=r"no-such-host\.invalid"):
            await view.request(method, "users")
