"""The daemon's configuration, read from options, environment and a file."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.collect.address import Address, parse_address
from aioservices.collect.config import CollectConfig, ConfigError, read_config
from aioservices.collect.settings import SETTINGS

KEY = {"CIVIS_API_KEY": "a-secret-key"}
STORE = {"store": "sqlite:logs.db"}
NUMERIC = [
    name
    for name, kind in CollectConfig.__annotations__.items()
    if re.search(r"\b(int|float)\b", str(kind))
]


def mistakes(
    options: Mapping[str, object],
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_config(options, environment={**KEY, **(environment or {})}, file=file)
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "collect.toml"


def test_every_setting_is_a_field_and_every_field_a_setting() -> None:
    assert set(SETTINGS) == set(CollectConfig.__struct_fields__) - {"otlp_headers"}


def test_an_option_wins_over_the_environment_which_wins_over_the_file(toml: Path) -> None:
    toml.write_text('store = "sqlite:file.db"\nrefresh = "1m"\noverlap = 5\nkeep = "7d"\n')
    config = read_config(
        {"store": "sqlite:option.db", "refresh": None, "forward": ()},
        environment={
            **KEY,
            "AIOSERVICES_STORE": "sqlite:environment.db",
            "AIOSERVICES_REFRESH": "2m",
            "AIOSERVICES_KEEP_BYTES": "20GB",
        },
        file=toml,
    )
    assert (config.store, config.refresh, config.overlap) == ("sqlite:option.db", 120.0, 5.0)
    assert (config.keep, config.keep_bytes) == (7 * 86_400.0, 20 * 10**9)


def test_the_environment_may_name_the_file(toml: Path) -> None:
    toml.write_text('store = "sqlite:file.db"\nservices = ["web-*", "42"]\n')
    config = read_config({}, environment={**KEY, "AIOSERVICES_CONFIG": str(toml)})
    assert config.services == ("web-*", "42")


def test_lists_in_the_environment_are_separated_by_commas() -> None:
    environment = {
        **KEY,
        "AIOSERVICES_SERVICES": "web [prod],batch-*",
        "AIOSERVICES_STORE": "sqlite:x",
    }
    assert read_config({}, environment=environment).services == ("web [prod]", "batch-*")


def test_all_mistakes_are_reported_each_with_its_place(toml: Path) -> None:
    toml.write_text('stoer = "x"\nkeep = "soon"\nlog_level = "loud"\nservices = "web"\n')
    said = mistakes(
        {"store": "mysql://host/db", "keep_bytes": "2 potatoes"},
        {"AIOSERVICES_LISTEN": "9100", "AIOSERVICES_LEESE": "30s"},
        toml,
    )
    for place, part in [
        (f"{toml}: stoer", "did you mean store?"),
        (f"{toml}: keep", "90s, 10m"),
        (f"{toml}: log_level", "debug, info, warning, error"),
        (f"{toml}: services", "a list"),
        ("--store", "sqlite:PATH"),
        ("--keep-bytes", "20GB"),
        ("AIOSERVICES_LISTEN", "HOST:PORT"),
        ("AIOSERVICES_LEESE", "AIOSERVICES_LEASE"),
    ]:
        assert [line for line in said if line.startswith(f"{place}: ") and part in line], (
            place,
            said,
        )


@pytest.mark.parametrize("text", ["store = ", "\ufeffstore = 1 2", "a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_named(toml: Path, text: str) -> None:
    toml.write_text(text)
    assert any(line.startswith(f"{toml}: not valid TOML") for line in mistakes(STORE, {}, toml))


def test_a_file_that_is_missing_is_named(toml: Path) -> None:
    assert mistakes(STORE, {}, toml) == [f"{toml}: No such file or directory"]


@pytest.mark.parametrize("name", NUMERIC)
def test_a_number_that_makes_no_sense_is_a_mistake_that_is_named(name: str, toml: Path) -> None:
    option = f"--{name.replace('_', '-')}"
    for text in ("9" * 400, "9" * 5000, f"{'9' * 400}d", "1e400", "nan", "inf", "-1", "x"):
        assert mistakes({**STORE, name: text})[0].startswith(f"{option}: "), text
    for number in ("1e400", "nan", "inf", "-inf", "-1", "9" * 400, "true", "[1]", "{}"):
        toml.write_text(f"{name} = {number}\n")
        assert mistakes(STORE, {}, toml)[0].startswith(f"{toml}: {name}: "), number


def test_somewhere_the_lines_must_go() -> None:
    assert any(line.startswith("--store: say where to store the lines") for line in mistakes({}))


def test_a_forwarder_alone_implies_a_store_that_is_emptied_behind_it(tmp_path: Path) -> None:
    config = read_config({"forward": [f"jsonl:{tmp_path}/out.jsonl"]}, environment=KEY)
    retention = config.retention
    assert config.store is None
    assert config.store_url.startswith("sqlite:")
    assert retention is not None
    assert retention.forwarded_to == config.forwarder_names != ()


def test_nothing_is_removed_from_a_store_that_was_named_unless_it_is_said() -> None:
    assert read_config(STORE, environment=KEY).retention is None
    retention = read_config({**STORE, "keep": "90d"}, environment=KEY).retention
    assert retention is not None
    assert retention.max_age is not None
    assert retention.max_age.days == 90


def test_a_port_of_many_digits_is_not_an_address() -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address("127.0.0.1:" + "9" * 5000)


def test_an_address_that_others_can_reach_needs_a_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    options = {**STORE, "listen": "0.0.0.0:9100"}
    assert "--listen-token-file" in mistakes(options)[0]
    config = read_config({**options, "listen_token_file": str(token)}, environment=KEY)
    assert config.listen == Address("0.0.0.0", 9100)
    token.write_text("short")
    assert "16 characters" in mistakes({**options, "listen_token_file": str(token)})[0]


@pytest.mark.parametrize(
    ("text", "shown", "loopback"),
    [
        ("127.0.0.1:9100", "127.0.0.1:9100", True),
        (":9100", "127.0.0.1:9100", True),
        ("localhost:0", "localhost:0", True),
        ("[::1]:80", "[::1]:80", True),
        ("[2001:db8::1]:80", "[2001:db8::1]:80", False),
        ("collector.example:80", "collector.example:80", False),
    ],
)
def test_addresses(text: str, shown: str, loopback: bool, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    options = {**STORE, "listen": text, "listen_token_file": str(token)}
    listen = read_config(options, environment=KEY).listen
    assert listen is not None
    assert (str(listen), listen.is_loopback) == (shown, loopback)


def test_a_key_is_needed_and_its_file_is_read_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no API key"):
        read_config(STORE, environment={})
    secret = "one secret and another"
    file = tmp_path / "key"
    file.write_text(secret)
    (said,) = mistakes({**STORE, "api_key_file": [str(file)]})
    assert "one API key" in said
    assert secret not in said
    (said,) = mistakes({**STORE, "api_key_file": [str(tmp_path)]})
    assert "is not a file" in said
    file.write_text("a-good-key\n")
    read_config({**STORE, "api_key_file": [str(file)]}, environment={})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_key_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("a-good-key")
    file.chmod(0)
    assert mistakes({**STORE, "api_key_file": [str(file)]})


def test_intervals_must_fit_together() -> None:
    said = mistakes({**STORE, "poll_interval": "1m", "max_poll_interval": "30s", "lease": "1s"})
    assert any(line.startswith("--poll-interval: ") for line in said)
    assert any(line.startswith("--lease: ") for line in said)


@given(
    st.dictionaries(
        st.sampled_from(sorted(SETTINGS)),
        st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.text())),
    )
)
def test_whatever_is_given_is_taken_or_refused_as_a_mistake(options: dict[str, object]) -> None:
    with suppress(ConfigError):
        assert isinstance(read_config(options, environment=KEY), CollectConfig)


def test_the_headers_of_otlp_come_from_the_variable_that_opentelemetry_has() -> None:
    given = {**KEY, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abc, x-team = a "}
    config = read_config(STORE, environment=given)
    assert config.otlp_headers == {"authorization": "Bearer abc", "x-team": "a"}
    (said,) = mistakes(STORE, {"OTEL_EXPORTER_OTLP_HEADERS": "a-secret-without-a-name"})
    assert "name=value" in said
    assert "a-secret" not in said


@pytest.mark.parametrize(
    ("options", "source"),
    [
        ({"services": ["99999999999999999999"]}, "SERVICE"),
        ({"services": ["0"]}, "SERVICE"),
        ({"services": ["9" * 5000]}, "SERVICE"),
        ({"store": "sqlite:a\0.db"}, "--store"),
        ({"store": "postgresql://u@127.0.0.1:99999999/db"}, "--store"),
        ({"store": "postgresql://u@a:5432,b:0/db"}, "--store"),
        ({"forward": ["jsonl:a\0"]}, "--forward"),
        ({"forward": ["jsonl:a", "jsonl:./a"]}, "--forward"),
        ({"forward": ["otlp:http://h?key=1", "otlp:http://h?key=2"]}, "--forward"),
        ({"endpoint": "ftp://host"}, "--url"),
    ],
)
def test_what_would_fail_later_is_a_mistake_of_its_setting(
    options: dict[str, object], source: str
) -> None:
    (said,) = mistakes(STORE | options)
    assert said.startswith(f"{source}: ")


@pytest.mark.parametrize("key", ["a\nb", "a b", "naïve"])
def test_a_key_in_the_environment_that_is_none_is_a_mistake_and_is_not_repeated(key: str) -> None:
    (said,) = mistakes(STORE, {"CIVIS_API_KEY": key})
    assert said.startswith("CIVIS_API_KEY: ")
    assert key not in said


def test_ids_may_be_numbers_in_the_file(toml: Path) -> None:
    toml.write_text('store = "sqlite:x"\nservices = [42, "web"]\n')
    assert read_config({}, environment=KEY, file=toml).services == ("42", "web")


@pytest.mark.parametrize("text", [b"\xff", b"store = ", b" " * 2_000_000])
def test_of_a_file_that_cannot_be_read_only_that_is_said(toml: Path, text: bytes) -> None:
    toml.write_bytes(text)
    (said,) = mistakes({}, file=toml)
    assert said.startswith(str(toml))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".lock"])
def test_a_forwarder_may_not_write_into_the_store(tmp_path: Path, suffix: str) -> None:
    store = tmp_path / "logs.db"
    (tmp_path / "link").symlink_to(tmp_path)
    forward = f"jsonl:{tmp_path}/link/logs.db{suffix}"
    (said,) = mistakes({"store": f"sqlite:{store}", "forward": [forward]})
    assert said.startswith("--forward: ")
    assert "used for the store" in said


def test_a_forwarder_may_not_write_into_a_key_or_another_database(tmp_path: Path) -> None:
    key, other = tmp_path / "key", tmp_path / "other.db"
    key.write_text("a-key")
    other.write_bytes(b"SQLite format 3\0")
    (said,) = mistakes(STORE | {"api_key_file": [str(key)], "forward": [f"jsonl:{key}"]})
    assert "api_key_file" in said
    (said,) = mistakes(STORE | {"forward": [f"jsonl:{other}"]})
    assert "belongs to a SQLite database" in said
