"""The layout: what a module imports stands below it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "aioservices"
# From the top down; what is on one line knows nothing of its neighbours.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("demo",),
    ("collect",),
    ("__init__", "_public"),  # the public face, which programs use as others do
    ("client",),
    ("fleet",),
    ("stores",),
    ("tail",),
    ("api",),
    ("http",),
    ("terminal",),
    ("concurrency",),
    ("validation",),
    ("errors",),
    ("_version",),
)
HEIGHT = {name: -number for number, layer in enumerate(LAYERS) for name in layer}
MODULES = sorted(PACKAGE.rglob("*.py"))


def unit(module: str) -> str:
    """Name the layer that a module of the package belongs to."""
    return [*module.split("."), "__init__"][1]


def imports(path: Path) -> Iterator[str]:
    """Return the modules of this package that a file imports, anywhere in it."""
    package = ["aioservices", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from . import x` may name a module; `from .x import y` does not matter further down.
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "aioservices")


def layer_of(name: str) -> str:
    """Name the layer that an imported name belongs to: a public name to the public face."""
    found = unit(name)
    return found if found in HEIGHT or found == "emulator" else "__init__"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_own_layer_and_from_those_below(path: Path) -> None:
    own = unit(".".join(["aioservices", *path.relative_to(PACKAGE).with_suffix("").parts]))
    found = {layer_of(name) for name in imports(path)} - {own}
    if own == "emulator":
        # It shares no code with the client, so that a mistake in one cannot hide in the other.
        assert found <= {"_version", "terminal"}
        return
    above = {each for each in found - {"emulator"} if HEIGHT[each] > HEIGHT[own]}
    assert not above
    assert "emulator" not in found or own in {"__main__", "cli", "demo"}


def test_every_part_of_the_package_has_its_place() -> None:
    parts = {path.stem for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    parts |= {path.stem for path in PACKAGE.glob("*.py")}
    assert parts - {"emulator"} <= HEIGHT.keys()


def test_the_map_of_the_tests_is_whole() -> None:
    tests = Path(__file__).parent
    places = {path.name for path in tests.glob("*.py")} | {"conftest.py"}  # that of a folder
    places |= {f"servers/{path.name}" for path in tests.glob("servers/*.py")}
    shown = set(re.findall(r"`([a-z_/]+\.py)`", (tests / "README.md").read_text("utf-8")))
    assert places - {"__init__.py", "servers/__init__.py"} == shown
