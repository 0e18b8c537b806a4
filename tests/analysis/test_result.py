"""Analyses on disk: round trip, damage, and where the cache lies."""

from pathlib import Path

import numpy as np
import pytest

from paredown.analysis.cache import AnalysisCache
from paredown.analysis.layer_order import LayerOrder
from paredown.analysis.result import Analysis
from paredown.errors import BadInput
from paredown.user_cache import cache_folder


def analysis() -> Analysis:
    kl = np.random.default_rng(0).random((3, 7))
    return Analysis(("a", "b.ä", "c"), kl, {"decoder": LayerOrder((2, 1), (51.5, 0.1 + 0.2))}, "3 of 5 utterances", 1.25)


def same(left: Analysis, right: Analysis) -> bool:
    parts = ("paths", "layer_order", "subset", "seconds", "widths")
    return np.array_equal(left.kl, right.kl) and all(getattr(left, part) == getattr(right, part) for part in parts)


def test_a_saved_analysis_comes_back_as_it_was(tmp_path: Path) -> None:
    analysis().save(tmp_path / "a.npz")
    assert same(Analysis.load(tmp_path / "a.npz"), analysis())
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]


def test_an_analysis_without_sensitivities_comes_back(tmp_path: Path) -> None:
    empty = Analysis((), np.zeros((0, 7)), {}, "none", 0.0)
    empty.save(tmp_path / "a.npz")
    assert same(Analysis.load(tmp_path / "a.npz"), empty)


def test_a_failed_save_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis().save(tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("paredown.npz.os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        analysis().save(tmp_path / "a.npz")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("a.npz", before)]


@pytest.mark.parametrize(
    "kl",
    [np.zeros((2, 7)), np.zeros((3, 7), np.float32), np.full((3, 7), np.nan), np.full((3, 7), -1.0)],
    ids=["shape", "type", "nan", "sign"],
)
def test_impossible_tables_are_refused(kl: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"KL table must be|divergences must be"):
        Analysis(("a", "b", "c"), kl, {}, "", 0.0)


def damaged(whole: bytes) -> dict[str, bytes]:
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    return {"empty": b"", "cut": whole[: len(whole) // 2], "flipped": bytes(flipped), "text": b"not an archive", "half a zip": whole[:-30]}


@pytest.mark.parametrize("kind", ["empty", "cut", "flipped", "text", "half a zip"])
def test_a_damaged_file_is_refused_and_the_cache_forgets_it(kind: str, tmp_path: Path) -> None:
    cache = AnalysisCache(tmp_path)
    key = cache.key("model", "data", {"kl_utterances": 20})
    cache.store(key, analysis())
    [file] = cache.folder.iterdir()
    file.write_bytes(damaged(file.read_bytes())[kind])
    with pytest.raises(ValueError, match="must be as paredown wrote it"):
        Analysis.load(file)
    assert cache.load(key, Analysis) is None
    cache.store(key, analysis())
    found = cache.load(key, Analysis)
    assert found is not None
    assert same(found, analysis())


def test_another_archive_is_no_analysis(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", kl=np.zeros((0, 7)), description=np.array("[]"))
    with pytest.raises(ValueError, match="must be as paredown wrote it"):
        Analysis.load(tmp_path / "a.npz")


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", kl=np.array([object()]), description=np.array("{}"))
    with pytest.raises(ValueError, match="must be as paredown wrote it"):
        Analysis.load(tmp_path / "a.npz")


def test_the_key_tells_apart_everything_that_determines_an_analysis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = AnalysisCache(tmp_path)
    keys = {cache.key("m", "d", {"a": 1, "b": 2}), cache.key("n", "d", {"a": 1, "b": 2}), cache.key("m", "e", {"a": 1, "b": 2})}
    keys |= {cache.key("m", "d", {"a": 1, "b": 3}), cache.key("md", "", {"a": 1, "b": 2})}
    monkeypatch.setattr("paredown.analysis.cache.SCHEMA", 10_000)
    keys.add(cache.key("m", "d", {"a": 1, "b": 2}))
    assert len(keys) == 6
    assert cache.key("m", "d", {"b": 2, "a": 1}) in keys


def test_the_cache_lies_where_the_environment_says(tmp_path: Path) -> None:
    assert cache_folder({"PAREDOWN_CACHE": str(tmp_path), "XDG_CACHE_HOME": "/x"}) == tmp_path
    assert cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/paredown")
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == cache_folder({}) == Path.home() / ".cache" / "paredown"


def test_a_cache_that_cannot_be_made_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cache folder must be writable.*PAREDOWN_CACHE"):
        AnalysisCache(tmp_path / "file")


def test_a_read_only_cache_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paredown.analysis.cache.os.access", lambda *_: False)  # root, who runs many a test, may write anywhere
    with pytest.raises(BadInput, match="cache folder must be writable"):
        AnalysisCache(tmp_path)
