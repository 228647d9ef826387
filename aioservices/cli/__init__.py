"""The command line; it needs the extra `cli`.

`run` and `text` need nothing of it.
"""
