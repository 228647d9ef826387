"""Destinations of stored lines.

`open_forwarder` makes one from its URL. A destination of your own is any object with an async
method ``send(lines)``: see `Forwarder`.
"""

from .jsonl import JSONLForwarder
from .protocol import Forwarder, PartlyRejected, ResumableForwarder, SendResult
from .url import open_forwarder
from .worker import ForwarderStatus, ForwardWorker, name_of

__all__ = [
    "ForwardWorker",
    "Forwarder",
    "ForwarderStatus",
    "JSONLForwarder",
    "PartlyRejected",
    "ResumableForwarder",
    "SendResult",
    "name_of",
    "open_forwarder",
]
