"""Analyses are read from the cache by the study's own settings; what is absent or damaged is none."""

from pathlib import Path

import numpy as np

from paredown.analysis.cache import AnalysisCache
from paredown.analysis.layer_order import LayerOrder
from paredown.analysis.result import WIDTHS, Analysis
from paredown.search.space_section import SpaceSection
from paredown.trials.block_order import OrderRule
from paredown.trials.kept_analyses import Curves, KeptAnalyses, read_analyses

SECTION = SpaceSection.model_validate({"bits": {"average": [2.5, 8.0]}, "layers": {"decoder": [3, 6], "rule": "greedy", "by": "bleu"}})
CURVES = Curves(("encoder.conv",), (0.1, 0.5), ((50.0, 20.0),), "chrf", 51.0, "20 utterances")


def keep(folder: Path, kind: str, utterances: int, keys: dict[str, object], found: Analysis | Curves) -> Path:
    cache = AnalysisCache(folder)
    key = cache.key("model", "split", {"kind": kind, "utterances": utterances, **keys})
    cache.store(key, found)
    return folder / "analysis" / f"{key}.npz"


def order(removed: tuple[int, ...]) -> Analysis:
    return Analysis((), np.zeros((0, len(WIDTHS))), {"decoder": LayerOrder(removed, ())}, "100 utterances", 1.0)


def test_nothing_is_computed_where_nothing_is_kept(tmp_path: Path) -> None:
    assert read_analyses(SECTION, "model", "split", tmp_path) == KeptAnalyses()


def test_the_order_of_the_study_comes_before_that_of_analyse(tmp_path: Path) -> None:
    usual = OrderRule()
    keep(tmp_path, f"order of the decoder blocks by {usual}", usual.utterances, usual.to_dict() | {"least": 2}, order((1, 2)))
    found = read_analyses(SECTION, "model", "split", tmp_path)
    assert [(one.stack, one.by, one.order.removed) for one in found.orders] == [("decoder", "chrf", (1, 2))]
    own = OrderRule("greedy", "bleu")
    keep(tmp_path, f"order of the decoder blocks by {own}", own.utterances, own.to_dict() | {"least": 3}, order((3, 2, 1)))
    found = read_analyses(SECTION, "model", "split", tmp_path)
    assert [(one.stack, one.by, one.order.removed) for one in found.orders] == [("decoder", "bleu", (3, 2, 1))]
    assert read_analyses(SECTION, "another", "split", tmp_path).orders == ()


def test_a_table_and_curves_are_found_and_damaged_ones_are_not(tmp_path: Path) -> None:
    kl = Analysis(("a.b",), np.ones((1, len(WIDTHS))), {}, "20 utterances", 1.0)
    keep(tmp_path, "KL of every layer at every bit-width (posteriors)", 20, {"measure": "posteriors"}, kl)
    shares = [round(tenth / 10, 1) for tenth in range(1, 10)]
    path = keep(tmp_path, "pruning curves of every group by chrf", 20, {"metric": "chrf", "shares": shares, "beam": 4}, CURVES)
    found = read_analyses(SECTION, "model", "split", tmp_path)
    assert found.kl is not None
    assert found.kl.paths == ("a.b",)
    assert found.pruning == CURVES
    path.write_bytes(b"damaged")
    assert read_analyses(SECTION, "model", "split", tmp_path).pruning is None
