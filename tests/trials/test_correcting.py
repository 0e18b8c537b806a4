"""Tables corrected around averages: listened to once for all anchors, and not at all where the cache holds them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.analysis.resolved import Attempt, Resolved  # noqa: E402
from paredown.analysis.result import WIDTHS, Analysis  # noqa: E402
from paredown.data import load_split  # noqa: E402
from paredown.models import load_model  # noqa: E402
from paredown.search.space_section import BitsAxisSpec  # noqa: E402
from paredown.trials import correcting  # noqa: E402
from paredown.trials.correcting import anchors_of, correct, tables_around  # noqa: E402
from tests.commands.tiny import write_model, write_split  # noqa: E402
from tests.trials.test_families import _Told  # noqa: E402


def spec_of(low: float, high: float) -> BitsAxisSpec:
    return BitsAxisSpec(average=(low, high), rounds=1)


def test_anchors_lie_evenly_where_the_additive_table_is_far_from_the_truth() -> None:
    assert anchors_of(spec_of(2.0, 8.0)) == (2.0, 3.0, 4.0, 5.0)
    assert anchors_of(spec_of(3.0, 3.6)) == (3.0, 3.2, 3.4, 3.6)
    assert anchors_of(spec_of(4.0, 4.0)) == (4.0,)
    assert anchors_of(spec_of(6.5, 8.0)) == (6.5,)


def test_far_above_the_last_anchor_the_additive_table_holds() -> None:
    paths = ("a", "b")
    analysis = Analysis(paths, np.ones((2, len(WIDTHS))), {}, "nothing", 0.0)
    attempt = Attempt("additive", 0.0, 0.0, (2, 2))
    corrected = [Resolved(average, paths, WIDTHS, np.full((2, len(WIDTHS)), average), (attempt,), "", 0.0) for average in (2.0, 5.0)]
    found = tables_around(spec_of(2.0, 8.0), analysis, corrected)
    assert {average: float(table[0, 0]) for average, table in found.items()} == {2.0: 2.0, 5.0: 5.0, 6.0: 1.0}
    assert list(tables_around(spec_of(2.0, 5.0), analysis, corrected)) == [2.0, 5.0]
    assert tables_around(spec_of(2.0, 8.0), analysis, ()) == {}


def test_utterances_are_listened_to_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    model, split = load_model(write_model(tmp_path / "model")), load_split(write_split(tmp_path / "data"))
    paths = tuple(layer.path for layer in model.inventory().layers)
    analysis = Analysis(paths, np.ones((len(paths), len(WIDTHS))), {}, "nothing", 0.0)
    heard: list[int] = []

    def listen(_model: object, subset: Any, *_: object) -> tuple[()]:
        heard.append(len(subset))
        return ()

    def solved(table: np.ndarray, _paths: object, widths: tuple[int, ...], average: float, choose: Any, *_: object) -> Resolved:
        bits = choose(table)
        attempt = Attempt("additive", 0.0, 0.0, tuple(bits[path] for path in paths))
        return Resolved(average, paths, tuple(widths), table, (attempt,), "nothing", 0.0)

    monkeypatch.setattr(correcting, "read_samples", listen)
    monkeypatch.setattr(correcting, "Truth", lambda *_, **__: object())
    monkeypatch.setattr(correcting, "solve_again", solved)

    class Idle:
        workers = 1

    given: Any = (spec_of(2.0, 5.0), analysis, model, split, None, Idle(), _Told())
    first = correct(*given)
    assert [found.average for found in first] == [2.0, 3.0, 4.0, 5.0]
    assert heard == [4, 4]  # what makes tables, and what judges
    assert [found.attempts for found in correct(*given)] == [found.attempts for found in first]
    assert heard == [4, 4]
