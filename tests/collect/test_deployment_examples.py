"""The examples of how the daemon is deployed."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from aioservices.collect.config import read_config
from aioservices.collect.metrics import Metrics, RequestCounter
from aioservices.collect.settings import SETTINGS
from aioservices.fleet.collecting import CollectorStatus

EXAMPLES = Path(__file__).parents[2] / "examples" / "collect"
METRIC = re.compile(r"aioservices_watch_\w+")


def served() -> set[str]:
    """Return the names of all metrics, as Prometheus stores them."""
    text = Metrics(CollectorStatus.empty, RequestCounter()).render("")[0].decode()
    families = re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.MULTILINE)
    names = {name for name, _ in families}
    for name, kind in families:
        if kind == "histogram":
            names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return names


def variables(document: str) -> set[str]:
    return set(re.findall(r"AIOSERVICES_[A-Z_]+", document))


@pytest.mark.parametrize("name", ["alerts.yaml", "grafana-dashboard.json"])
def test_every_metric_that_is_asked_for_is_served(name: str) -> None:
    asked = set(METRIC.findall((EXAMPLES / name).read_text()))
    assert asked
    assert asked <= served()


def test_the_dashboard_shows_every_metric() -> None:
    asked = set(METRIC.findall((EXAMPLES / "grafana-dashboard.json").read_text()))
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in served()} == shown


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    dashboard = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_variable_in_a_manifest_is_a_setting(path: Path) -> None:
    text = path.read_text()
    assert list(yaml.safe_load_all(text))
    known = {f"AIOSERVICES_{name.upper()}" for name in SETTINGS}
    assert variables(text) <= known


@pytest.mark.parametrize("name", ["postgresql.yaml", "sqlite.yaml"])
def test_the_probes_of_the_manifests_ask_for_what_is_served(name: str) -> None:
    manifest: dict[str, Any] = yaml.safe_load((EXAMPLES / "kubernetes" / name).read_text())
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in manifest["spec"]["template"]["spec"]["volumes"]}
    claimed = {c["metadata"]["name"] for c in manifest["spec"].get("volumeClaimTemplates", [])}
    assert mounted == volumes | claimed


def test_the_configuration_file_can_be_used(tmp_path: Path) -> None:
    key = tmp_path / "api-key"
    key.write_text("a-key\n")
    text = (EXAMPLES / "collect.toml").read_text()
    assert "/etc/aioservices/api-key" in text
    file = tmp_path / "collect.toml"
    file.write_text(text.replace("/etc/aioservices/api-key", str(key)))
    config = read_config({}, environment={}, file=file)
    assert config.services == ("web-*", "batch-*")


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "aioservices-collect.service"
    text = (EXAMPLES / "aioservices-collect.service").read_text()
    unit.write_text(text.replace("/opt/aioservices/bin/aioservices", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, complaints) == (0, [])
