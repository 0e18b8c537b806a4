"""Families of a study: measured once, then from the cache, and what axes make of them."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from paredown.analysis.darts.alphas import SearchSettings  # noqa: E402
from paredown.data import load_split  # noqa: E402
from paredown.models import load_model  # noqa: E402
from paredown.space.axes.base import SearchSpace  # noqa: E402
from paredown.space.axes.rank import RankAxis  # noqa: E402
from paredown.space.axes.width import WidthAxis  # noqa: E402
from paredown.trials.decoding import Decoder  # noqa: E402
from paredown.trials.families import find_family, members_of  # noqa: E402
from paredown.trials.workshop import Workshop  # noqa: E402
from tests.commands.tiny import write_model, write_split  # noqa: E402

QUICK = SearchSettings(steps=4, rate=1.0, batch_frames=500, autocast=False)
ETAS = (0.0, 1e4)


class _Told:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, what: str, done: int, total: int) -> None:
        self.lines.append(f"{what} {done}/{total}")


def test_families_are_measured_once_and_span_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    model, split, told = load_model(write_model(tmp_path / "model")), load_split(write_split(tmp_path / "data")), _Told()
    with Decoder(1) as decoder, Workshop(model) as workshop:
        first = [find_family(model, split, workshop, decoder, kind, ETAS, QUICK, told) for kind in ("width", "rank")]
        again = [find_family(model, split, workshop, decoder, kind, ETAS, QUICK, told) for kind in ("width", "rank")]
        assert again == first
        expected = ["analysis: widths by DARTS, on 4 utterances", "penalties 1/2", "penalties 2/2"]
        assert told.lines[:3] == expected
        assert told.lines[6:] == [f"analysis: {kind}s by DARTS, from the cache (4 utterances)" for kind in ("width", "rank")]
        width, rank = (members_of(family) for family in first)
        inventory = model.inventory()
        space = SearchSpace([RankAxis(inventory, rank, 0.0, 1e4), WidthAxis(inventory, width, 0.0, 1e4)])
        smallest = space.smallest()
        assert set(smallest.width_of) == set(inventory.feed_forwards)
        sizes = [workshop.foretell(space.resolve(values)).size_bytes for values in ({"width.eta": 0.0, "rank.eta": 0.0}, space.lowest())]
        assert sizes[1] < sizes[0]
        workshop.build(smallest)
