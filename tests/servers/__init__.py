"""The servers and fixtures that tests share; `tests/README.md` is the map."""
