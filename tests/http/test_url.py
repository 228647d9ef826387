"""Where requests go."""

import urllib.parse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.http.secret import SecretStr
from aioservices.http.url import (
    BaseURL,
    Proxy,
    QueryValue,
    Target,
    encoded_query,
    proxy_for,
    redirect_target,
    validate_base_url,
    validate_path,
)

BASE = "https://api.example.org/v1/"


@pytest.mark.parametrize(
    ("given_url", "used"),
    [
        ("https://api.example.org", "https://api.example.org/"),
        ("https://api.example.org/v1//", "https://api.example.org/v1/"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("http://localhost", "http://localhost/"),
        ("http://[::1]:80/", "http://[::1]:80/"),
    ],
)
def test_a_base_url_is_taken(given_url: str, used: str) -> None:
    assert validate_base_url(given_url) == used


def test_a_path_and_a_query_are_joined_to_the_base_url() -> None:
    base = BaseURL(BASE)
    assert str(base.join("services/42", None)) == f"{BASE}services/42"
    query: dict[str, QueryValue] = {"limit": 50, "status": "running", "order": None}
    assert str(base.join("services", query)) == f"{BASE}services?limit=50&status=running"


def test_urls_of_a_fleet_that_is_asked_about_in_turn_are_made_once() -> None:
    base = BaseURL(BASE)
    paths = [f"services/{number}" for number in range(1000)]
    first = [base.join(path, None) for path in paths]
    assert all(base.join(path, None) is url for path, url in zip(paths, first, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "api.example.org",
        "ftp://api.example.org",
        "https://",
        "https://api.example.org:port",
        "https://api.example.org/?q=1",
        "https://api.example.org/#top",
        "https://api.example.org/\r\nX: 1",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_a_base_url_without_sense_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="base_url must"):
        validate_base_url(wrong)


def test_a_key_in_the_wrong_place_is_not_repeated() -> None:
    for url in ("s3cr3tk3y", "https://s3cr3tk3y@api.example.org"):
        with pytest.raises(ValueError, match="must") as caught:
            validate_base_url(url)
        assert "s3cr3tk3y" not in str(caught.value)


def test_plain_http_to_another_machine_needs_to_be_asked_for() -> None:
    with pytest.raises(ValueError, match="allow_http=True"):
        validate_base_url("http://api.example.org")
    assert validate_base_url("http://api.example.org", allow_http=True) == "http://api.example.org/"


def test_the_environment_names_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVIS_API_ENDPOINT", "https://other.example.org/api")
    assert validate_base_url(None) == "https://other.example.org/api/"
    monkeypatch.setenv("CIVIS_API_ENDPOINT", "nonsense")
    with pytest.raises(ValueError, match="CIVIS_API_ENDPOINT must"):
        validate_base_url(None)


@pytest.mark.parametrize(
    ("path", "quoted"),
    [
        ("services/42", "services/42"),
        ("/services/42", "services/42"),
        ("files/a b/ü", "files/a%20b/%C3%BC"),
        ("files/a%2Fb", "files/a%2Fb"),
    ],
)
def test_a_path_is_quoted(path: str, quoted: str) -> None:
    assert validate_path(path) == quoted


@pytest.mark.parametrize(
    "wrong",
    [
        "1/../../users",
        "services/%2e%2e/users",
        "services/..%2fusers",
        "services/..\\users",
        "//evil.example.org/",
        "https://evil.example.org/",
        "services?limit=1",
        "services#x",
        "./services",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="path must"):
        validate_path(wrong)


@given(st.text())
def test_any_path_stays_below_the_base_url(path: str) -> None:
    try:
        quoted = validate_path(path)
    except ValueError:
        return
    joined = urllib.parse.urljoin(BASE, BASE + quoted)
    assert joined.startswith(BASE)
    assert quoted.isascii()
    assert quoted.isprintable()


def test_a_query_leaves_out_none_and_repeats_sequences() -> None:
    query = encoded_query({"hidden": True, "author": None, "ids": [1, 2], "name": "a b&c"})
    assert query == "hidden=true&ids[]=1&ids[]=2&name=a+b%26c"


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_any_query_arrives_as_it_was_meant(params: dict[str, str]) -> None:
    arrived = urllib.parse.parse_qsl(encoded_query(params), keep_blank_values=True)
    assert dict(arrived) == params


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_get_follows_redirects(status: int) -> None:
    target = redirect_target("GET", BASE + "services", status, "/v1/services/", base_url=BASE)
    assert target == Target(BASE + "services/", True)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_request_that_acts_follows_only_where_it_stays_the_same(method: str) -> None:
    def follows(status: int, location: str) -> bool:
        return redirect_target(method, BASE + "x", status, location, base_url=BASE) is not None

    assert [status for status in (301, 302, 303, 307, 308) if follows(status, "/y")] == [307, 308]
    assert not follows(307, "https://other.example.org/y")


@pytest.mark.parametrize(
    ("location", "same_origin"),
    [
        ("https://api.example.org:443/x", True),
        ("https://api.example.org:8443/x", False),
        ("https://other.example.org/x", False),
        ("//other.example.org/x", False),
    ],
)
def test_another_host_or_port_is_not_home(location: str, same_origin: bool) -> None:
    target = redirect_target("GET", BASE + "x", 302, location, base_url=BASE)
    assert target is not None
    assert target.same_origin is same_origin


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "http://api.example.org/x",
        "ftp://api.example.org/x",
        "https://user@api.example.org/x",
        "https://api.example.org:port/x",
    ],
)
def test_a_redirect_that_is_not_safe_is_not_followed(location: str | None) -> None:
    assert redirect_target("GET", BASE + "x", 302, location, base_url=BASE) is None


@pytest.mark.parametrize("proxy", ["socks5://proxy.example.org", "http://", "http://[bad"])
def test_a_proxy_that_cannot_be_used_is_refused(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(ValueError, match=r"^https_proxy "):
        proxy_for(BASE)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("host", ["127.0.0.1", "proxy.example.org"])
def test_what_is_on_this_machine_is_reached_through_a_proxy_on_it_alone(
    monkeypatch: pytest.MonkeyPatch, scheme: str, host: str
) -> None:
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://{host}:9")
    if host != "127.0.0.1":
        assert proxy_for("http://localhost:8080/") is None
    elif scheme == "http":
        assert proxy_for("http://localhost:8080/") == Proxy(
            "ALL_PROXY", SecretStr("http://127.0.0.1:9")
        )
    else:
        with pytest.raises(ValueError, match=r"^ALL_PROXY names no http or https proxy"):
            proxy_for("http://localhost:8080/")


@pytest.mark.parametrize("value", [b"ab", {"a": 1}, [b"ab"], object()])
def test_a_parameter_that_is_no_text_or_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="q must be"):
        encoded_query({"q": value})


def test_proxies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert proxy_for(BASE) is None
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org:3128")
    assert proxy_for(BASE) == Proxy("HTTPS_PROXY", SecretStr("http://proxy.example.org:3128"))
    monkeypatch.setenv("NO_PROXY", "api.example.org")
    assert proxy_for(BASE) is None
