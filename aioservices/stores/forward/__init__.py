"""Where stored lines are forwarded to."""

from .protocol import Forwarder, PartlyRejected, ResumableForwarder, SendResult

__all__ = ["Forwarder", "PartlyRejected", "ResumableForwarder", "SendResult"]
