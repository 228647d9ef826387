"""Requests to one host: connections, retries, rate limit."""
