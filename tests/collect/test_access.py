"""Who may read the daemon's page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.collect.access import Access
from aioservices.collect.address import Address

LOCAL = Access(Address("127.0.0.1", 9100))
OPEN = Access(Address("0.0.0.0", 9100), "a-token-of-16-characters")


def status(access: Access, presented: str | None = None, /, **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    rejection = access.reject(given, presented)
    return 200 if rejection is None else rejection[0]


@pytest.mark.parametrize("host", ["127.0.0.1:9100", "localhost:9100", "LOCALHOST", "[::1]:9100"])
def test_a_browser_of_this_machine_is_served(host: str) -> None:
    assert status(LOCAL, Host=host) == 200
    assert status(LOCAL, Host=host, Origin=f"http://{host}", Sec_Fetch_Site="same-origin") == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example:9100", "127.0.0.1.evil.example", "[", "169.254.1.1"]
)
def test_a_foreign_name_for_this_machine_is_refused(host: str) -> None:
    assert status(LOCAL, Host=host) == 403


@given(st.text())
def test_no_other_origin_is_served(origin: str) -> None:
    expected = 200 if origin.partition("//")[2].lower() == "localhost:9100" else 403
    assert status(LOCAL, Host="localhost:9100", Origin=origin) in {expected, 403}


def test_another_site_may_neither_call_nor_embed_the_page() -> None:
    for site in ("cross-site", "same-site"):
        assert status(LOCAL, Host="localhost", Sec_Fetch_Site=site, Sec_Fetch_Mode="cors") == 403
        assert status(LOCAL, Host="localhost", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors") == 403


def test_a_link_from_another_site_may_lead_to_the_page() -> None:
    headers = {"Host": "localhost", "Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert status(LOCAL, **headers) == 200


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//[", "null", "", "\udcff"])
def test_an_origin_that_cannot_be_read_is_foreign(origin: str) -> None:
    assert status(LOCAL, Host="localhost:9100", Origin=origin) == 403


@given(st.none() | st.text(st.characters()))  # lone surrogates too: bytes that are no text
def test_where_others_can_reach_it_only_the_token_opens_it(presented: str | None) -> None:
    assert status(OPEN, presented, Host="collector:9100") == (
        200 if presented == "a-token-of-16-characters" else 401
    )


def test_the_token_opens_it() -> None:
    assert status(OPEN, "a-token-of-16-characters", Host="collector:9100") == 200
