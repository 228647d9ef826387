"""What is built for others to install."""

import email
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from aioservices import __version__
from tests.servers.sharing import make_once

ROOT = Path(__file__).parent.parent
NAME = f"aioservices_civis-{__version__}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a source distribution, and a wheel from that."""
    return make_once(tmp_path_factory, "dist", build)


def build(folder: Path) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return built / f"{NAME}-py3-none-any.whl"


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(f"{NAME}.dist-info/METADATA"))


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    package = ROOT / "aioservices"
    files = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in {".pyc", ".so"}
    }
    with zipfile.ZipFile(wheel) as archive:
        found = set(archive.namelist())
    assert files <= found
    assert {name.split("/")[0] for name in found} == {"aioservices", f"{NAME}.dist-info"}
    assert f"{NAME}.dist-info/licenses/LICENSE" in found


def test_the_source_distribution_can_be_tested_and_documented(built: Path) -> None:
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        found = set(archive.getnames())
    for name in ("Makefile", "noxfile.py", "tests/conftest.py", "CHANGELOG.md", "examples"):
        assert any(each.startswith(f"{NAME}/{name}") for each in found), name


def test_the_distribution_is_named_apart_from_somebody_elses_package(metadata: Message) -> None:
    assert metadata["Name"] == "aioservices-civis"
    assert metadata["Version"] == __version__


def test_links_of_the_package_page_lead_somewhere(metadata: Message) -> None:
    page = str(metadata.get_payload())
    assert page.startswith("# aioservices")
    headings = re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)
    anchors = {
        "#" + re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings
    }
    for target in re.findall(r"\]\(([^)]*)\)", page):
        assert target.startswith("https://") or target in anchors, target


def test_the_changelog_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", text, flags=re.MULTILINE)[0] == __version__


def test_the_texts_name_the_wheel_of_this_version() -> None:
    texts = [ROOT / "README.md", ROOT / "docs" / "index.md"]
    named = re.findall(r"aioservices_civis-(.+?)-py3", "".join(each.read_text() for each in texts))
    assert named
    assert set(named) == {__version__}


def test_the_wheel_works_where_it_is_installed(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = str(tmp_path / "venv" / "bin" / "python")
    libraries = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(libraries)
    # The libraries that it needs, but not the source tree that these tests run in.
    others = Path(pytest.__file__).parent.parent
    (Path(libraries) / "others.pth").write_text(f"{others}\n")
    code = "import aioservices, aioservices.emulator; print(aioservices.__file__)"
    done = subprocess.run(
        [python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)
    done = subprocess.run(
        [python, "-m", "aioservices", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"aioservices {__version__}\n"
