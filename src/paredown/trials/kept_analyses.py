"""The analyses of a study as the user's cache has them: read, never computed, and without torch.

Keys are those that `sensitivity.py`, `pruning_curves.py` and `head_analysis.py` store under; what they hold is arrays and a few words.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from paredown.analysis.array_file import load_array, save_array
from paredown.analysis.cache import AnalysisCache
from paredown.analysis.layer_order import LayerOrder
from paredown.analysis.result import Analysis
from paredown.search.space_section import SpaceSection

UTTERANCES, ORDER_UTTERANCES, ORDER_WIDTH, BEAM = 20, 100, 3, 4
PRUNING_METRICS = ("chrf", "bleu", "wer", "divergence")
_SHARES = tuple(round(tenth / 10, 1) for tenth in range(1, 10))
_PRUNING = "pruning curves"
_FEWEST = 2  # blocks that `paredown analyse` orders down to


@dataclass(frozen=True)
class Curves:
    """What the model is worth with one part alone compressed. `values` [parts, steps]; `metric`: "divergence" in nats, or a score.

    `unpruned`: the value of the model as it is; `subset`: in words, the utterances.
    """

    parts: tuple[str, ...]
    shares: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    metric: str
    unpruned: float
    subset: str

    def save(self, path: Path) -> None:
        """Write the file as `PruningCurves` does, atomically; its folder must exist."""
        described = {"groups": self.parts, "shares": self.shares, "metric": self.metric, "unpruned": self.unpruned, "subset": self.subset}
        save_array(path, _PRUNING, np.array(self.values, np.float64), described | {"seconds": 0.0})

    @classmethod
    def load(cls, path: Path) -> Self:
        """The file that `PruningCurves` wrote; raises ValueError if it is damaged, FileNotFoundError if there is none."""
        values, described = load_array(path, _PRUNING)
        try:
            rows = tuple(tuple(row) for row in values.tolist())
            shares, parts = tuple(described["shares"]), tuple(described["groups"])
            return cls(parts, shares, rows, str(described["metric"]), float(described["unpruned"]), str(described["subset"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"a file of pruning curves must be as paredown wrote it, {path} is not: {error}") from error


@dataclass(frozen=True)
class Order:
    """In which order the blocks of a stack go, by what (`by`: "chrf", "their place", …), on which utterances."""

    stack: str
    by: str
    order: LayerOrder
    subset: str


@dataclass(frozen=True)
class KeptAnalyses:
    """What the cache has; None and nothing where it has none."""

    kl: Analysis | None = None
    orders: tuple[Order, ...] = ()
    pruning: Curves | None = None


def read_analyses(section: SpaceSection, model: str, split: str, folder: Path | None = None) -> KeptAnalyses:
    """The analyses of a model on a split, by their digests. Raises BadInput where the cache cannot be opened.

    `section`: what the study asked, so that its own table and orders come before those of `paredown analyse`. `folder`: of the cache.
    """
    cache = AnalysisCache(folder)

    def key(kind: str, utterances: int, keys: Mapping[str, Any]) -> str:
        return cache.key(model, split, {"kind": kind, "utterances": utterances, **keys})

    def find_kl() -> Analysis | None:
        own = (section.bits.sensitivity,) if section.bits is not None else ()
        for measure in dict.fromkeys((*own, "posteriors", "encoder_output")):
            found = cache.load(key(f"KL of every layer at every bit-width ({measure})", UTTERANCES, {"measure": measure}), Analysis)
            if found is not None:
                return found
        return None

    def find_orders() -> Iterable[Order]:
        for stack in ("encoder", "decoder"):
            for rule, by, protect, least in _rules(section, stack):
                keys = {"rule": rule, "by": by, "protect": protect, "width": ORDER_WIDTH, "utterances": ORDER_UTTERANCES, "beam": BEAM}
                words = by if rule == "greedy" else "their place"
                found = cache.load(key(f"order of the {stack} blocks by {words}", ORDER_UTTERANCES, keys | {"least": least}), Analysis)
                if found is not None and stack in found.layer_order:
                    yield Order(stack, words, found.layer_order[stack], found.subset)
                    break

    def find_pruning() -> Curves | None:
        for metric in PRUNING_METRICS:
            keys = {"metric": metric, "shares": list(_SHARES)} | ({} if metric == "divergence" else {"beam": BEAM})
            found = cache.load(key(f"pruning curves of every group by {metric}", UTTERANCES, keys), Curves)
            if found is not None and np.isfinite(found.values).all():
                return found
        return None

    return KeptAnalyses(find_kl(), tuple(find_orders()), find_pruning())


def _rules(section: SpaceSection, stack: str) -> list[tuple[str, str, bool, int]]:
    """Rule, score, whether the ends are protected, and how few blocks stay: the study's, then the one that `paredown analyse` uses."""
    layers = section.layers
    own = layers.ranges.get(stack) if layers is not None else None
    rules = [(layers.rule, layers.by, layers.protect, own[0])] if layers is not None and own is not None else []
    return list(dict.fromkeys([*rules, ("greedy", "chrf", True, _FEWEST)]))
