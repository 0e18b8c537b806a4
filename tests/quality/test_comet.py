"""COMET with a stand-in for its package: what is handed over, and how its absence is told."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from paredown.errors import BadInput
from paredown.quality.comet import comet_score, load_comet


class StandIn:
    """Scores a translation 1 where it is the reference, otherwise 0.5."""

    def predict(self, rows: list[dict[str, str]], **options: Any) -> Any:
        assert options["gpus"] == 0
        assert all(set(row) == {"src", "mt", "ref"} for row in rows)
        return SimpleNamespace(scores=[1.0 if row["mt"] == row["ref"] else 0.5 for row in rows])


def install(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
    package = ModuleType("comet")

    def download_model(name: str) -> str:
        if error:
            raise error
        return f"/hub/{name}"

    package.download_model = download_model  # type: ignore[attr-defined]
    package.load_from_checkpoint = lambda path: StandIn()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "comet", package)


def test_the_score_is_the_mean_times_100(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    found = comet_score(["hi", "you"], ["hallo", "nein"], ["hallo", "du"])
    assert found.value == pytest.approx(75)
    assert found.ci95 is not None
    assert 50 <= found.ci95[0] < 75 < found.ci95[1] <= 100
    assert "wmt20-comet-da" in found.signature


@pytest.mark.parametrize("error", [OSError("no network\nand more"), KeyError("no such model"), RuntimeError()])
def test_a_model_that_cannot_be_loaded_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    install(monkeypatch, error)
    with pytest.raises(BadInput, match="wmt20-comet-da, which could not be loaded") as caught:
        load_comet()
    assert "\n" not in str(caught.value)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "comet", None)
    with pytest.raises(BadInput, match=r"paredown\[comet\]"):
        load_comet()


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="got 1, 2 and 2"):
        comet_score(["a"], ["b", "c"], ["b", "c"])
