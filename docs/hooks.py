"""What the pages take from the package itself, so that it is written once."""

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from html import unescape
from importlib import import_module
from itertools import cycle
from pathlib import Path

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from aioservices import RetryPolicy
from aioservices.api.endpoints import Endpoints

ROOT = Path(__file__).parent.parent
PACKAGES = ("aioservices", "aioservices.stores", "aioservices.emulator")
# What other modules of the package call, without a promise to users that it stays.
NOT_PUBLIC = "Not part of the public interface."


class PublicMembers(griffe.Extension):
    """Leave out members of public classes that are not public themselves."""

    def on_class_members(self, *, cls: griffe.Class, **_: object) -> None:
        """Remove them from a class."""
        for name, member in list(cls.members.items()):
            if not member.is_alias and member.docstring and NOT_PUBLIC in member.docstring.value:
                del cls.members[name]


class WrittenDefaults(griffe.Extension):
    """Show a default that the code takes from a private constant as the value that it has."""

    def on_function(self, *, func: griffe.Function, **_: object) -> None:
        """Replace such defaults of a function."""
        for each in func.parameters:
            if str(each.default).startswith("_"):
                owner, _, name = func.path.removeprefix(f"{func.module.path}.").rpartition(".")
                holder: object = import_module(func.module.path)
                for part in filter(None, [*owner.split("."), name]):
                    holder = getattr(holder, part)
                value = inspect.signature(holder).parameters[each.name].default  # type: ignore[arg-type]
                each.default = _written(value)


def _written(value: object) -> str:
    if isinstance(value, RetryPolicy) and value == RetryPolicy():
        return "RetryPolicy()"
    return repr(value)


_WIDE = 3  # columns that a phone cannot show beside each other
# The dash before a description that is not there, as of two attributes that share their type.
_UNDESCRIBED = r"\s*\u2013\s*<div class=\"doc-md-description\">\s*</div>"
_PLAIN = r"\s*<div class=\"[^\"]*\"><pre><span></span><code>(.*?)</code></pre></div>"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the changelog, which lies beside the pages."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "changelog.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the table of endpoints, and the public names of modules, where a page asks for them."""
    if "<!-- endpoints -->" in markdown:
        markdown = markdown.replace("<!-- endpoints -->", endpoint_table())
    return re.sub(r"<!-- names of (.+?) -->", lambda found: directives(found[1].split()), markdown)


def on_page_content(html: str, **_: object) -> str:
    """Link public names to their places in the reference, and prepare tables for phones."""
    html = re.sub(r":(?:attr|class|exc|func|meth):(?=<code>)", "", html)
    html = re.sub(_UNDESCRIBED, "", html)
    html = re.sub(rf"<p>::</p>{_PLAIN}", _highlight, html, flags=re.DOTALL)
    html = re.sub(r"<table>.*?</table>", _stackable, html, flags=re.DOTALL)
    linked = r"<(autoref|a|h\d|pre)\b.*?</\1>"  # there, names are left as they are
    return re.sub(rf"{linked}|<code>(\w+)</code>", _link, html, flags=re.DOTALL)


def _stackable(found: re.Match[str]) -> str:
    """Write the head of its column to each cell of a wide table: a phone shows them as a list."""
    heads = [re.sub("<[^>]+>", "", each) for each in re.findall("<th.*?>(.*?)</th>", found[0])]
    if len(heads) < _WIDE:
        return found[0]
    columns = cycle(heads)
    table = re.sub("<td", lambda _: f'<td data-head="{next(columns)}"', found[0])
    return table.replace("<table", "<table data-stackable", 1)


def _highlight(found: re.Match[str]) -> str:
    """Colour the example of a docstring, as the blocks of pages are."""
    formatter = HtmlFormatter(cssclass="language-python highlight", wrapcode=True)
    return highlight(unescape(found[1]), PythonLexer(), formatter)


def _link(found: re.Match[str]) -> str:
    package = next((each for each in PACKAGES if found[2] in _names(each)), None)
    if found[2] is None or package is None:
        return found[0]
    return f'<autoref identifier="{package}.{found[2]}" optional>{found[0]}</autoref>'


@cache
def _names(package: str) -> frozenset[str]:
    return frozenset(name for _, name in public_names(package))


def directives(modules: list[str]) -> str:
    """Ask for the reference of each public name that comes from one of some modules."""
    return "\n".join(
        f"::: {package}.{name}\n"
        for each in modules
        for package in PACKAGES
        for module, name in public_names(package)
        if f"{module}.".startswith(f"{each}.")
    )


def public_names(package: str) -> Iterator[tuple[str, str]]:
    """Give the public names of a package with the modules that they come from, in their order."""
    folder = ROOT / package.replace(".", "/")
    source = folder / ("_public.py" if (folder / "_public.py").exists() else "__init__.py")
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("_"):
            module = f"{package}.{node.module}" if node.level else node.module or ""
            if module.startswith("aioservices."):
                yield from ((module, alias.name) for alias in node.names)


def endpoint_table() -> str:
    """Describe each endpoint in a row: method, path, parameters, result."""
    rows = ["| method of `Services` | request | parameters | result |", "|---|---|---|---|"]
    groups = Endpoints.__bases__
    methods = [each for group in groups for each in vars(group).items() if each[0][0] != "_"]
    for name, method in methods:
        request = re.search(r"``([A-Z]+ [^`]+)``", inspect.getdoc(method) or "")
        if request is None:
            raise ValueError(f"the docstring of {name} names no endpoint")
        signature = inspect.signature(method)
        parameters = list(signature.parameters.values())[1:]
        shown = [_parameter(each) for each in parameters]
        if sum(each.kind is each.KEYWORD_ONLY for each in parameters) > 10:
            shown = [_parameter(each) for each in parameters if each.kind is not each.KEYWORD_ONLY]
            shown.append("[attributes of a service](models.md#attributes)")
        verb, path = request[1].split(" ", 1)
        rows.append(
            f"| [`{name}`][aioservices.Services.{name}] | {verb} `{path}` "
            f"| {', '.join(shown)} | {_result(signature.return_annotation)} |"
        )
    return "\n".join(rows)


def _parameter(parameter: inspect.Parameter) -> str:
    return f"`{parameter.name}`" if parameter.default is parameter.empty else f"*{parameter.name}*"


def _result(annotation: object) -> str:
    text = str(annotation).replace("builtins.", "")
    name = re.sub(r"^(?:list|Paginator)\[(\w+)\]$", r"\1", text)
    if name == "None":
        return "None"
    before = {"list": "list of ", "Paginator": "pages of "}.get(text.split("[")[0], "")
    return f"{before}[`{name}`][aioservices.{name}]"
