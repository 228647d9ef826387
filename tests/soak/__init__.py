"""Crash tests: collectors that are killed, stopped and cut off; `make soak` runs the long form."""
