"""The command line; it needs the extra `aioservices[cli]`.

`run` and `text` need nothing of it.
"""
