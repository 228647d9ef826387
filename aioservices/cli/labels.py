"""What goes before the lines of each service where many are shown; pure."""

from __future__ import annotations

from collections.abc import Mapping

from rich.cells import cell_len, set_cell_size

from aioservices.terminal.sanitize import one_line

__all__ = ["Labels", "shortened"]

_STEP = 4  # cells by which a label grows until it is distinct


class Labels:
    """A label for each service: its name, shortened only as far as no two labels are the same.

    Parameters
    ----------
    widest : int, optional
        Cells from which on a name is shortened, in its middle. Default: names stay whole.
    ellipsis : str
        What stands where something was left out; one cell wide.
    """

    def __init__(self, *, widest: int | None = None, ellipsis: str = "…") -> None:
        self._widest = widest
        self._ellipsis = ellipsis
        self._owners: dict[str, set[int]] = {}  # by name whose it is
        self._labels: dict[int, tuple[str | None, str]] = {}  # by service its name and label
        self._used: set[str] = set()

    @property
    def width(self) -> int:
        """Cells of the widest label so far."""
        return max((cell_len(label) for _, label in self._labels.values()), default=0)

    def expect(self, services: Mapping[int, str | None]) -> None:
        """Learn of services before their first lines: their labels consider each other."""
        for service_id, name in services.items():
            self._owners.setdefault(_readable(name, service_id), set()).add(service_id)
        for service_id, name in services.items():
            self.label(service_id, name)

    def label(self, service_id: int, name: str | None) -> str:
        """Give the label of a service; it stays the same as long as its name does."""
        known = self._labels.get(service_id)
        if known is not None and known[0] == name:
            return known[1]
        if known is not None:
            self._used.discard(known[1])
        label = self._make(service_id, _readable(name, service_id))
        self._labels[service_id] = (name, label)
        self._used.add(label)
        return label

    def _make(self, service_id: int, name: str) -> str:
        owners = self._owners.setdefault(name, set())
        owners.add(service_id)
        if len(owners) > 1:
            name = f"{name} ({service_id})"
        if self._widest is None:
            return self._distinct(service_id, name)
        for width in range(self._widest, cell_len(name), _STEP):
            label = shortened(name, width, self._ellipsis)
            if label not in self._used:
                return label
        return self._distinct(service_id, name)

    def _distinct(self, service_id: int, name: str) -> str:
        """Add the id to a name that reads as another service's label does."""
        while name in self._used:
            name = f"{name} ({service_id})"
        return name


def shortened(text: str, width: int, ellipsis: str = "…") -> str:
    """Shorten a text in its middle.

    Parameters
    ----------
    text : str
    width : int
        Cells that it may take.
    ellipsis : str
        What stands where something was left out; one cell wide.

    Examples
    --------
    >>> shortened("web-frontend-production", 13)
    'web-fr…uction'
    """
    if cell_len(text) <= width:
        return text
    head = set_cell_size(text, (width - 1) // 2 + (width - 1) % 2).rstrip()
    tail = set_cell_size(text[::-1], (width - 1) // 2)[::-1].lstrip()
    return f"{head}{ellipsis}{tail}"


def _readable(name: str | None, service_id: int) -> str:
    return one_line(name or "") or f"service {service_id}"
