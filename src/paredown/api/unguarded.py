"""A script in ten lines needs no `if __name__ == "__main__":`.

paredown decodes in fresh ("spawn") worker processes. By its rule Python runs the caller's script again in each, to find the functions that
the caller wants called there; without that guard the worker would begin the same study. paredown's workers call paredown's functions alone,
so while it works the script is hidden from whoever starts a process.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_lock = threading.Lock()
_users = 0


class _Hidden(ModuleType):
    """The main module without the place it came from; everything else of it is there."""

    def __init__(self, main: ModuleType) -> None:
        super().__init__("__main__")
        self.main = main

    def __getattr__(self, name: str) -> Any:
        if name == "__file__":
            raise AttributeError(name)
        return getattr(self.main, name)


@contextmanager
def script_hidden() -> Iterator[None]:
    """Within the block, processes start without the caller's script. Blocks may nest and overlap, in whatever threads."""
    global _users
    with _lock:
        if _users == 0:
            sys.modules["__main__"] = _Hidden(sys.modules["__main__"])
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and isinstance(main := sys.modules["__main__"], _Hidden):
                sys.modules["__main__"] = main.main
