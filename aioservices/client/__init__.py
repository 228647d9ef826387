"""`Services`: every endpoint over one set of connections, and what is built on them."""

from .services import Services

__all__ = ["Services"]
