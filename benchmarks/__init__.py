"""Figures, measured side by side."""
