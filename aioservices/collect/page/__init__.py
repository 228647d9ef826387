"""The page that shows what the daemon does, in a browser."""

from .routes import Page

__all__ = ["Page"]
