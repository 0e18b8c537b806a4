"""Analyses that are measured once: on a few utterances of the analysis split, kept in the user's cache by what determines them."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from paredown.analysis.cache import AnalysisCache, Stored
from paredown.data import Split
from paredown.models import Model
from paredown.trials.evaluation import spread_by_length
from paredown.trials.teller import Teller


class _Measured(Stored, Protocol):
    """A result that says in words what it was measured on."""

    @property
    def subset(self) -> str: ...


Result = TypeVar("Result", bound=_Measured)


def cached(
    model: Model,
    split: Split,
    what: str,
    kind: type[Result],
    keys: Mapping[str, Any],
    utterances: int,
    measure: Callable[[Split], Result],
    tell: Teller,
) -> Result:
    """The result of `measure` on `utterances` of the split, spread evenly over the lengths, or what it gave before.

    `what` says what is measured; with `keys` (plain JSON values) it tells this analysis from others of the model and the split.
    """
    cache = AnalysisCache()
    key = cache.key(model.digest, split.digest, {"kind": what, "utterances": utterances, **keys})
    found = cache.load(key, kind)
    tell.line(f"analysis: {what}, " + (f"from the cache ({found.subset})" if found else f"on {min(utterances, len(split))} utterances"))
    if found is None:
        found = measure(spread_by_length(split, utterances))
        cache.store(key, found)
    return found
