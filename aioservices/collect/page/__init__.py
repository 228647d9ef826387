"""The daemon's page for a browser."""

from .routes import Page

__all__ = ["Page"]
