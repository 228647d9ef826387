"""The command line; it needs the extra `cli`.

`run` and `text` do not need it.
"""
