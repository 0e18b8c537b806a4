"""What compressing one model again and again need not make twice: codes of layers, and decompositions of matrices."""

from collections.abc import Callable
from typing import Any, TypeVar

Made = TypeVar("Made")
# Codes of whole layers by (path, bits, granularity, method), without masks; what belongs to reduced layers under `_REDUCED`.
Memo = dict[tuple[Any, ...], Any]
_REDUCED = "reduced"
_MOST_REDUCED = 256  # of reduced layers there are as many as widths, heads and ranks; one takes megabytes


def remember_reduced(memo: Memo, key: tuple[Any, ...], make: Callable[[], Made]) -> Made:
    """What `make` gives, or gave before under this key; the latest few hundred are kept."""
    whole = (_REDUCED, *key)
    if whole in memo:
        memo[whole] = memo.pop(whole)  # now the latest
    else:
        made = make()
        older = [known for known in memo if known[0] == _REDUCED]
        if len(older) >= _MOST_REDUCED:
            del memo[older[0]]
        memo[whole] = made
    found: Made = memo[whole]
    return found
