"""Attributes of a service as people write them, on the command line and in files; pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast, get_args, get_origin

from aioservices.api.models import JSON, Service, to_dict
from aioservices.api.params import NewServiceAttributes, ServiceAttributes

from .errors import USAGE_ERROR, CommandError

__all__ = [
    "MASK",
    "VARIABLES",
    "assigned",
    "changes_to",
    "env_file",
    "environment",
    "from_document",
    "plain",
    "shown_changes",
]

MASK = "***"
"""What stands for a secret value that is not shown; in a file, for one that stays as it is."""

VARIABLES = "environment_variables"
"""The attribute whose members are texts."""

_NEW = NewServiceAttributes.__annotations__
_CHANGEABLE = ServiceAttributes.__annotations__
_SHOWN_ONLY = frozenset(Service.__struct_fields__) - frozenset(_CHANGEABLE)


def assigned(
    settings: Sequence[str], unset: Sequence[str], base: Mapping[str, JSON], *, new: bool
) -> dict[str, JSON]:
    """Read ``NAME=VALUE`` and names that are cleared.

    Parameters
    ----------
    settings : sequence of str
        A value is a string if the attribute is one, otherwise JSON.
        ``schedule.runtime_plan=always_on`` sets a member of an object.
    unset : sequence of str
    base : mapping
        The current attributes: if a member is set, the others stay.
    new : bool
        Whether it is for a new service.

    Raises
    ------
    CommandError
        If there is no such attribute, or a value is not JSON.
    """
    given: dict[str, JSON] = {}
    for setting in settings:
        path, separator, text = setting.partition("=")
        if not separator:
            raise _usage_error(f"--set {setting}: write it as NAME=VALUE")
        name, *members = path.strip().split(".")
        _check(path.strip(), new=new)
        target = given.get(name, base.get(name))
        if not members:
            given[name] = text if _is_text(name) else _parsed(name, text)
        elif name == VARIABLES:  # whose names may contain dots, and whose values are strings
            given[name] = _with_member(target, [".".join(members)], text, path)
        else:
            given[name] = _with_member(target, members, _member(text), path)
    cleared = {path.strip() for path in unset}
    for path in cleared:
        name, *members = path.split(".")
        if members and name == VARIABLES:
            raise _usage_error(f"--unset {path}: say --unset-env {'.'.join(members)}")
        _check(path, new=new)
        if name in cleared and members:
            raise _usage_error(f"--unset {path}: all of {name} is unset already")
        if any(_overlap(path, setting.partition("=")[0].strip()) for setting in settings):
            raise _usage_error(f"{path} is both set and unset")
        value = given.get(name, base.get(name))
        given[name] = _without_member(value, members, path) if members else None
    return given


def environment(
    settings: Sequence[str], lines: Iterable[str], variables: Mapping[str, str]
) -> dict[str, str]:
    """Read environment variables for a service.

    Parameters
    ----------
    settings : sequence of str
        ``NAME=VALUE``, or ``NAME`` to take the value of this process's own variable: then it
        appears neither in the history of the shell nor in the list of processes.
    lines : iterable of str
        Those of files, which come first.
    variables : mapping of str to str
        The variables of this process.

    Raises
    ------
    CommandError
        If one of them is not of this form, or there is no such variable.
    """
    found = env_file(lines)
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not name.strip():
            raise _usage_error("--env: must be NAME=VALUE or NAME")
        if not separator:
            if name not in variables:
                raise _usage_error(f"--env {name}: you have no such environment variable")
            value = variables[name]
        found[name.strip()] = value
    return found


def env_file(lines: Iterable[str]) -> dict[str, str]:
    """Read a file of ``NAME=VALUE`` lines, with ``#`` comments, ``export`` and quotes.

    Raises
    ------
    CommandError
        If a line is something else; the message has its number, and not its text.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not separator or not name.strip() or " " in name.strip():
            raise _usage_error(f"--env-file: line {number} is not of the form NAME=VALUE")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[name.strip()] = value
    return found


def from_document(
    document: object, current: Mapping[str, JSON] | None, *, new: bool
) -> dict[str, JSON]:
    """Take attributes from the content of a file, such as the output of ``get --json``.

    Parameters
    ----------
    document : object
        Attributes that cannot be set, such as the state of a service, are left out.
    current : mapping, optional
        The current service: masked values are taken from there.
    new : bool
        Whether it is for a new service.

    Raises
    ------
    CommandError
        If it is not an object, has an unknown attribute, or a masked value that is not known.
    """
    if not isinstance(document, dict):
        raise _usage_error("the file must hold an object of attributes, as get --json shows it")
    given: dict[str, JSON] = {}
    for name, value in cast("dict[str, JSON]", document).items():
        if name in (_NEW if new else _CHANGEABLE):
            given[name] = value
        elif name not in _SHOWN_ONLY:
            _check(name, new=new)
    credentials = given.get("credentials")
    if isinstance(credentials, list):
        given["credentials"] = [
            each.get("id") if isinstance(each, dict) else each for each in credentials
        ]
    variables = given.get(VARIABLES)
    if isinstance(variables, dict):
        known = (current or {}).get(VARIABLES)
        given[VARIABLES] = {
            name: _unmasked(name, _variable(name, value), known if isinstance(known, dict) else {})
            for name, value in variables.items()
        }
    return given


def changes_to(current: Mapping[str, JSON], given: Mapping[str, JSON]) -> dict[str, JSON]:
    """Leave out attributes that are already as requested."""
    return {
        name: value
        for name, value in given.items()
        if _comparable(name, value) != _comparable(name, current.get(name))
    }


def shown_changes(current: Mapping[str, JSON], changes: Mapping[str, JSON]) -> list[str]:
    """Describe each change in a line, without the values of environment variables."""
    lines: list[str] = []
    for name, value in changes.items():
        before = current.get(name)
        if name == VARIABLES:
            lines += _shown_variables(
                before if isinstance(before, dict) else {}, value if isinstance(value, dict) else {}
            )
        elif before is None:
            lines.append(f"{name}: {_shown(value)}")
        else:
            lines.append(f"{name}: {_shown(before)} -> {_shown(value)}")
    return lines


def plain(service: Service) -> dict[str, JSON]:
    """Convert a service to built-ins, with the ids of its credentials, as they are set."""
    shown = to_dict(service)
    if isinstance(credentials := shown.get("credentials"), list):
        shown["credentials"] = [
            each.get("id") if isinstance(each, dict) else each for each in credentials
        ]
    return shown


def _shown_variables(before: Mapping[str, JSON], after: Mapping[str, JSON]) -> list[str]:
    lines: list[str] = []
    for name in dict.fromkeys((*before, *after)):
        where = f"{VARIABLES}.{name}"
        if after.get(name) is None:
            if before.get(name) is None:
                continue
            lines.append(f"{where}: removed")
        elif name not in before:
            lines.append(f"{where}: added")
        elif before[name] != after[name]:
            lines.append(f"{where}: changed")
    return lines


def _shown(value: JSON) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value)


def _comparable(name: str, value: JSON) -> JSON:
    """Normalize a value for a comparison: null members count as missing."""
    if name == VARIABLES and not value:
        return {}
    if isinstance(value, dict):
        return {key: _comparable("", each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_comparable("", each) for each in value]
    return value


def _unmasked(name: str, value: JSON, known: Mapping[str, JSON]) -> JSON:
    if value != MASK:
        return value
    if name not in known:
        raise _usage_error(
            f"the value of {name} is masked in the file: pass it with --env {name}=VALUE"
        )
    return known[name]


def _variable(name: str, value: JSON) -> str | None:
    """Return the value of an environment variable as the string that the API stores."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):  # from a JSON file; in YAML all are strings already
        return json.dumps(value)
    # How a number with a fraction was written is no longer known.
    raise _usage_error(f"the value of {name} is not a string: put it in quotes")


def _check(path: str, *, new: bool) -> None:
    """Refuse a path whose attribute cannot be set; suggests one of the same depth."""
    known = _NEW if new else _CHANGEABLE
    name, point, members = path.partition(".")
    if name in known:
        return
    if name in _SHOWN_ONLY:
        raise _usage_error(f"{name} cannot be set")
    close = difflib.get_close_matches(name, known, n=1)
    meant = (
        f"did you mean {close[0]}{point}{members}?" if close else f"there are {', '.join(known)}"
    )
    raise _usage_error(f"a service has no attribute {name!r}: {meant}")


def _overlap(path: str, other: str) -> bool:
    """Return whether two paths are the same, or one is a member of the other."""
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")


def _is_text(name: str) -> bool:
    return str in get_args(_NEW[name])


def _parsed(name: str, text: str) -> JSON:
    """Read the value of an attribute that is not a string, as JSON of its kind."""
    kind, wanted = _json_kind(name)
    value = _member(text)
    if value is not None and type(value) is not kind:  # True is an int in Python, not in JSON
        raise _usage_error(f"--set {name}: {text!r} is not {wanted}")
    return value


def _json_kind(name: str) -> tuple[type, str]:
    """Return the type of an attribute that is not a string, and its description."""
    kinds = get_args(_NEW[name])
    if bool in kinds:
        return bool, "true or false"
    if int in kinds:
        return int, "an integer"
    if get_origin(kinds[0]) is Sequence:
        return list, "a list in JSON, such as [1, 2]"
    return dict, """an object in JSON, such as '{"A": 1}'"""


def _member(text: str) -> JSON:
    """Read the value of a member of an object, whose type is not known here."""
    try:
        return cast("JSON", json.loads(text))
    except ValueError:
        return text


def _with_member(target: JSON, path: Sequence[str], value: JSON, where: str) -> JSON:
    if target is None:
        target = {}
    if not isinstance(target, dict):
        raise _usage_error(f"--set {where}: it is not an object that has members")
    name, *rest = path
    return {**target, name: _with_member(target.get(name), rest, value, where) if rest else value}


def _without_member(target: JSON, path: Sequence[str], where: str) -> JSON:
    """Clear a member of an object, if there is one."""
    if target is None:
        return None
    if not isinstance(target, dict):
        raise _usage_error(f"--unset {where}: it is not an object that has members")
    name, *rest = path
    if name not in target:
        raise _usage_error(f"--unset {where}: its members are {', '.join(target) or 'none'}")
    before = target[name]
    cleared: JSON = [] if isinstance(before, list) else None  # for a list, null means empty
    return {**target, name: _without_member(before, rest, where) if rest else cleared}


def _usage_error(text: str) -> CommandError:
    return CommandError(text, status=USAGE_ERROR)
