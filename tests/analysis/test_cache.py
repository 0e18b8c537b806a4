"""The cache gives back what was stored, and nothing that was damaged."""

from pathlib import Path

import numpy as np
import pytest

from paredown.analysis.cache import AnalysisCache
from paredown.analysis.layer_order import LayerOrder
from paredown.analysis.result import Analysis


@pytest.fixture
def analysis() -> Analysis:
    kl = np.random.default_rng(0).random((3, 7))
    return Analysis(("a", "b", "c"), kl, {"decoder": LayerOrder((2, 1), (50.0, 40.5))}, "4 utterances", 1.5)


def test_what_is_stored_comes_back_to_the_bit(tmp_path: Path, analysis: Analysis) -> None:
    cache = AnalysisCache(tmp_path)
    key = cache.key("model", "data", {"utterances": 4})
    assert cache.load(key, Analysis) is None
    cache.store(key, analysis)
    found = cache.load(key, Analysis)
    assert found is not None
    assert found.kl.tobytes() == analysis.kl.tobytes()
    assert (found.paths, found.widths, found.layer_order, found.subset) == (
        analysis.paths,
        analysis.widths,
        analysis.layer_order,
        analysis.subset,
    )


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_file_is_not_trusted(tmp_path: Path, analysis: Analysis, damage: str) -> None:
    cache = AnalysisCache(tmp_path)
    cache.store("k", analysis)
    (path,) = cache.folder.iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"flip": bytes(data), "cut": bytes(data[:-20]), "empty": b""}[damage])
    assert cache.load("k", Analysis) is None


def test_the_key_follows_everything_that_determines_the_analysis(tmp_path: Path) -> None:
    cache = AnalysisCache(tmp_path)
    keys = {cache.key(m, d, {"utterances": u}) for m in "ab" for d in "cd" for u in (1, 2)}
    assert len(keys) == 8


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[layers, widths\]"):
        Analysis(("a",), np.zeros((2, 7)), {}, "", 0.0)
