"""The label before each line when the logs of many services are shown; pure.

A name that is too long is shortened in its middle. Names that would then read the same, as those of
one program in several regions do, keep the part in which they differ:

    web-production-frontend-eu-central-1    web-pr…eu…tral-1
    web-production-frontend-us-central-1    web-pr…us…tral-1
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.cells import cell_len, set_cell_size

from aioservices.terminal.sanitize import one_line

__all__ = ["Difference", "Labels", "shortened", "shortened_apart"]

_STEP = 4  # cells by which a label grows until it is distinct
_MIN_WIDTH = 4  # cells that a name has at least, before an id


class Labels:
    """A label for each service: its name, shortened only as far as no two labels are the same.

    Parameters
    ----------
    widest : int, optional
        Cells from which on a name is shortened, in its middle. Default: names stay whole.
    ellipsis : str
        The ellipsis; one cell wide.

    Attributes
    ----------
    width : int
        Cells of the widest label so far.
    """

    def __init__(self, *, widest: int | None = None, ellipsis: str = "…") -> None:
        self._widest = widest
        self._ellipsis = ellipsis
        self._owners: dict[str, set[int]] = {}  # the owner of each label
        self._alike: dict[str, Difference] = {}  # of names that are shortened to the same label
        self._labels: dict[int, tuple[str | None, str]] = {}  # the name and label of each service
        self._used: set[str] = set()
        self.width = 0

    def expect(self, services: Mapping[int, str | None]) -> None:
        """Learn the names of services before their first lines, so that all labels are distinct."""
        for service_id, name in services.items():
            self._owners.setdefault(_readable(name, service_id), set()).add(service_id)
        for service_id, name in services.items():
            self._remember(service_id, _readable(name, service_id))
        for service_id, name in services.items():
            self.label(service_id, name)

    def label(self, service_id: int, name: str | None) -> str:
        """Return the label of a service; it stays the same as long as its name does."""
        known = self._labels.get(service_id)
        if known is not None and known[0] == name:
            return known[1]
        if known is not None:
            self._used.discard(known[1])
        label = self._make(service_id, _readable(name, service_id))
        self._labels[service_id] = (name, label)
        self._used.add(label)
        self.width = max(self.width, cell_len(label))
        return label

    def _remember(self, service_id: int, name: str) -> None:
        self._owners.setdefault(name, set()).add(service_id)
        if self._widest is not None:
            self._alike.setdefault(shortened(name, self._widest), Difference()).add(name)

    def _make(self, service_id: int, name: str) -> str:
        self._remember(service_id, name)
        number = f" ({service_id})" if len(self._owners[name]) > 1 else ""
        if self._widest is None:
            return self._distinct(service_id, name + number)
        start, end = self._alike[shortened(name, self._widest)].place_in(name)
        for width in range(self._widest, cell_len(name + number), _STEP):
            space = max(_MIN_WIDTH, width - len(number))
            label = shortened(name, space, self._ellipsis, start, end) + number
            if label not in self._used:
                return label
        return self._distinct(service_id, name + number)

    def _distinct(self, service_id: int, name: str) -> str:
        """Add the id to a name that looks like another service's label."""
        while name in self._used:
            name = f"{name} ({service_id})"
        return name


class Difference:
    """Where strings differ: the words that are not the same in all of them.

    Examples
    --------
    >>> regions = Difference(["web-eu-1", "web-us-1", "web-asia-1"])
    >>> "web-eu-1"[slice(*regions.place_in("web-eu-1"))]
    'eu'
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._start: str | None = None  # what all have in common
        self._end = ""
        self._shortest = 0
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Add another string."""
        if self._start is None:
            self._start, self._end, self._shortest = text, text, len(text)
            return
        self._start = self._start[: _common_length(self._start, text)]
        self._end = self._end[len(self._end) - _common_length(self._end[::-1], text[::-1]) :]
        self._shortest = min(self._shortest, len(text))

    def place_in(self, text: str) -> tuple[int, int]:
        """Return where the difference begins in one of the strings, and where it ends.

        Both are the same if nothing differs.
        """
        start = len(self._start or "")
        # A common beginning does not count as a common end, too.
        end = len(text) - min(len(self._end), self._shortest - start)
        if start == end:
            return start, end
        while start > 0 and text[start - 1].isalnum():
            start -= 1
        while end < len(text) and text[end].isalnum():
            end += 1
        return start, end


def shortened(text: str, width: int, ellipsis: str = "…", start: int = 0, end: int = 0) -> str:
    """Shorten a string in its middle, or on both sides of a part that is kept.

    Parameters
    ----------
    text : str
    width : int
        Cells that it may take.
    ellipsis : str
        The ellipsis; one cell wide.
    start, end : int, optional
        The part that is kept, as far as it fits. Default: none.

    Examples
    --------
    >>> shortened("web-frontend-production", 13)
    'web-fr…uction'
    >>> shortened("web-frontend-production", 13, start=4, end=9)
    'web-front…ion'
    """
    if cell_len(text) <= width:
        return text
    before, kept, after = text[:start], text[start:end], text[end:]
    space = width - cell_len(kept) - 2  # for the rest, with an ellipsis on both sides
    if not kept or space < 2:
        text = kept or text
        space = width - 1
        return f"{_head(text, space - space // 2)}{ellipsis}{_tail(text, space // 2)}"
    tail = min(cell_len(after), space // 2)
    head = min(cell_len(before), space - tail)
    tail = space - head
    shown = before if cell_len(before) <= head + 1 else _head(before, head) + ellipsis
    left = width - cell_len(shown) - cell_len(kept)
    return shown + kept + (after if cell_len(after) <= left else ellipsis + _tail(after, left - 1))


def shortened_apart(texts: Sequence[str], width: int, ellipsis: str = "…") -> list[str]:
    """Shorten strings; those that would look the same keep the part in which they differ.

    Parameters
    ----------
    texts : sequence of str
    width : int
        Cells that each may take.
    ellipsis : str
        The ellipsis; one cell wide.
    """
    alike: dict[str, Difference] = {}
    for text in texts:
        alike.setdefault(shortened(text, width), Difference()).add(text)
    return [
        shortened(text, width, ellipsis, *alike[shortened(text, width)].place_in(text))
        for text in texts
    ]


def _common_length(first: str, second: str) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(first), len(second)))


def _head(text: str, width: int) -> str:
    return set_cell_size(text, width).rstrip()


def _tail(text: str, width: int) -> str:
    return set_cell_size(text[::-1], width)[::-1].lstrip()


def _readable(name: str | None, service_id: int) -> str:
    return one_line(name or "") or f"service {service_id}"
