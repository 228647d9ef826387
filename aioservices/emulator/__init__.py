"""An emulator of the API, on loopback.

```python
async with Emulator(services=3) as emulator:
    async with Services(emulator.api_key, base_url=emulator.url) as services: ...
```
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aioservices.emulator.emulator import Emulator
    from aioservices.emulator.faults import (
        Cut,
        Delay,
        Fault,
        Garble,
        Gzip,
        Reset,
        Respond,
        Stall,
    )
    from aioservices.emulator.logs import LogBehaviour
    from aioservices.emulator.record import RecordedRequest
    from aioservices.emulator.state_file import StateFileError

__all__ = [
    "Cut",
    "Delay",
    "Emulator",
    "Fault",
    "Garble",
    "Gzip",
    "LogBehaviour",
    "RecordedRequest",
    "Reset",
    "Respond",
    "Stall",
    "StateFileError",
]

_MODULES = {
    "Emulator": "emulator",
    "LogBehaviour": "logs",
    "RecordedRequest": "record",
    "StateFileError": "state_file",
}


def __getattr__(name: str) -> object:
    # The pytest plugin is in this package and is loaded by every run of pytest: whatever costs
    # time is imported when it is first used.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'faults')}"), name)
