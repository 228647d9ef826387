"""Asynchronous client for the Civis Platform services API."""
