"""Asynchronous client for the Civis Platform services API.

The public names are those of `aioservices._public`. They are imported when the first of them is
asked for: a program such as ``python -m aioservices`` imports this package before any code of its
own runs, and until then could not decide what Ctrl-C does.
"""

from ._version import __version__ as __version__

TYPE_CHECKING = False  # what type checkers know by its name; `typing` takes time to import
if TYPE_CHECKING:
    from ._public import *  # noqa: F403  # its `__all__` says what
    from ._public import __all__ as __all__
else:

    def __getattr__(name: str) -> object:
        import importlib
        import sys

        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "Services":  # all that most programs import; the others' modules take longer
            globals()[name] = importlib.import_module("aioservices.client").Services
            return globals()[name]
        public = importlib.import_module("aioservices._public")
        globals().update({each: getattr(public, each) for each in ("__all__", *public.__all__)})
        if name in globals():
            return globals()[name]
        # A module that was loaded together with the names, as `aioservices.errors`.
        if (module := sys.modules.get(f"{__name__}.{name}")) is not None:
            return module
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")} - {"TYPE_CHECKING"})
