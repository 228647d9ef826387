"""Fixtures for the test suites of those who use the library."""
