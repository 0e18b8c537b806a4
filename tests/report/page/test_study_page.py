"""The page as a file: its figures are those of `front --json`, nothing in it can become markup, and what is missing is said."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from paredown.errors import BadInput
from paredown.report.front_rows import front_json, read_front
from paredown.report.page import study_page
from paredown.report.page.cards import make_card
from paredown.report.page.numbers import tidy
from paredown.report.page.study_page import write_page
from paredown.trials.ablation import Ablated
from paredown.trials.stages import STAGES
from tests.report.page import pages
from tests.search import toy

DATA = re.compile(r'<script type="application/json" id="study-data">(.*?)</script>', re.DOTALL)


def data_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DATA.findall(path.read_text(encoding="utf-8"))[0])
    return found


@pytest.fixture
def with_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that the user's cache would have."""

    def gather(*given: Any) -> Any:
        return pages.facts(FOLDER[0], pages.HOSTILE)

    monkeypatch.setattr(study_page, "gather_facts", gather)


FOLDER: list[Path] = []


def test_figures_are_those_of_front_json(tmp_path: Path) -> None:
    folder = pages.write_study(tmp_path, quality="-1.0")
    written = write_page(folder)
    assert written.path == folder / "front" / "report.html"
    assert written.size_bytes == written.path.stat().st_size < 6_000_000
    found = data_of(written.path)
    expected = front_json(folder)
    assert [row["trial"] for row in expected] == [0, 1, 2, 4]
    assert found["front"] == [{name: value for name, value in row.items() if name != "configuration"} for row in expected]
    values = {row["trial"]: list(row["values"].values()) for row in front_json(folder, every=True)}
    assert {trial["n"]: trial["values"] for trial in found["trials"] if "values" in trial} == values
    assert {trial["n"]: trial["state"] for trial in found["trials"]} == dict.fromkeys(range(5), "complete") | {5: "stopped", 6: "rejected"}


def test_budgets_of_the_command_line_count(tmp_path: Path) -> None:
    folder = pages.write_study(tmp_path, quality="-1.0")
    write_page(folder, tmp_path / "a.html", ("size=3.95MB",))
    found = data_of(tmp_path / "a.html")
    assert [budget["text"] for budget in found["budgets"]] == ["quality >= -1 chrF", "size <= 3.95 MB"]
    assert found["front"] == [
        {name: value for name, value in row.items() if name != "configuration"} for row in front_json(folder, ("size=3.95MB",))
    ]
    assert found["study"]["leading"] == 2
    assert found["study"]["verdict"].startswith("The best with quality >= -1 chrF and size <= 3.95 MB is trial 2: 3.9 MB, 24.4 % of")


def test_the_smallest_leads_where_quality_alone_is_limited(tmp_path: Path) -> None:
    folder = pages.write_study(tmp_path, quality="-1.0")
    found = data_of(write_page(folder).path)
    assert found["picks"][0] == {"rule": "smallest", "trial": 2}
    assert "quality -0.80 chrF [-1.80, +0.20] on search" in found["study"]["verdict"]
    assert "59.0 ms on cpu, 0.59 of the uncompressed model's" in found["study"]["verdict"]


def test_where_nothing_keeps_the_budgets_the_nearest_is_named(tmp_path: Path) -> None:
    folder = pages.write_study(tmp_path, size="1 MB")
    found = data_of(write_page(folder).path)
    assert found["picks"] == []
    assert found["study"]["leading"] is None
    assert found["study"]["verdict"] == "No trial keeps size <= 1 MB; trial 4 comes nearest."


def test_nothing_from_data_is_markup(tmp_path: Path, with_facts: None) -> None:
    folder = pages.write_study(tmp_path, label=pages.HOSTILE)
    FOLDER[:] = [folder]
    text = write_page(folder).path.read_text(encoding="utf-8")
    assert text.count("window.harmed") > 10
    for inside in ("<script>window.harmed", "<b onmouseover", "<img src=x"):
        assert inside not in text
    assert data_of(folder / "front" / "report.html")["trials"][1]["what"] == pages.HOSTILE
    assert text.count("</script>") == text.count("<script") - plotly_mentions("<script") + plotly_mentions("</script>")


def plotly_mentions(words: str) -> int:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).count(words)


def test_a_title_is_escaped(tmp_path: Path) -> None:
    from paredown.report.page.document import render

    assert f"<title>{'&lt;b&gt; &amp; &quot;'}</title>" in render({}, '<b> & "')


def test_nothing_is_fetched(tmp_path: Path) -> None:
    folder = pages.write_study(tmp_path)
    text = write_page(folder).path.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"<(?:script|link|img|audio|iframe)[^>]*(?:src|href)=[\"']?(?:https?:)?//", text)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    written = write_page(pages.write_study(tmp_path))
    assert set(written.missing) == {"sensitivity", "anatomy", "translations"}
    assert written.missing["anatomy"] == "the model toy is not on this disk"
    assert data_of(written.path)["missing"] == dict(written.missing)


def test_a_study_without_a_trial_has_a_page(tmp_path: Path) -> None:
    with toy.open_study(tmp_path / "empty", toy.toy_spec("empty")):
        pass
    found = data_of(write_page(tmp_path / "empty").path)
    assert found["trials"] == found["front"] == found["volume"] == []
    assert found["study"]["verdict"] == "No trial is complete yet."


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"study\.db"):
        write_page(tmp_path)
    folder = pages.write_study(tmp_path)
    with pytest.raises(BadInput, match="the folder of the report must exist"):
        write_page(folder, tmp_path / "nowhere" / "a.html")
    (tmp_path / "a.html").mkdir()
    with pytest.raises(BadInput, match="the report must be a file that can be written"):
        write_page(folder, tmp_path / "a.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "toy"]


def test_cards_tell_how_figures_came_about(tmp_path: Path, with_facts: None) -> None:
    folder = pages.write_study(tmp_path)
    FOLDER[:] = [folder]
    card = data_of(write_page(folder).path)["cards"]["2"]
    quality = next(row for row in card["figures"] if row["name"] == "quality")
    assert quality["search"]["samples"] == 200
    assert quality["search"]["provenance"] == "measured"
    assert quality["again"] is None
    assert card["anatomy"]["axes"] == [["bits", 12e6]]
    latency = next(row for row in card["figures"] if row["name"] == "latency_ms@cpu")["search"]
    assert card["stages"]["name"] == "latency_ms@cpu"
    assert card["stages"]["runs"] == latency["samples"]
    spent = dict(card["stages"]["ms"])
    assert spent == {stage: pytest.approx(share * latency["value"], rel=1e-3) for stage, share in zip(STAGES, (0.1, 0.3, 0.6), strict=True)}
    assert not any(name.startswith("share_") for name in latency["detail"])


def test_a_long_list_is_cut_and_says_so() -> None:
    assert tidy(tuple(range(12))) == list(range(12))
    assert tidy([0.123456789, *range(14)]) == [0.123457, *range(11), "3 more"]


def test_thousands_of_trials_keep_their_figures_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pages.write_study(tmp_path)
    whole = {row["n"]: row for row in data_of(write_page(folder).path)["trials"]}
    monkeypatch.setattr(study_page, "LIMIT_BYTES", 0)
    monkeypatch.setattr(study_page, "MOST_CARDS", 2)
    found = data_of(write_page(folder).path)
    cut = {row["n"]: row for row in found["trials"] if "cut" in row}
    assert set(whole) - set(cut) == set(map(int, found["cards"]))
    assert len(cut) == 5
    for number, row in cut.items():
        assert not {"bits", "decode", "scheme"} & set(row)
        assert row.get("values") == whole[number].get("values")


def test_what_was_measured_of_axes_is_told_as_the_objectives_are(tmp_path: Path) -> None:
    front = read_front(pages.write_study(tmp_path))
    whole, without = (
        Ablated(axis, pages.configuration(1), toy.outcome(*row)) for axis, row in (("", (-1, 50, 4e6)), ("bits", (-0.5, 40, 8e6)))
    )
    card = make_card(front.trials[1], front, None, (whole, without))
    assert card["ablation"] == [{"axis": "bits", "bought": {"quality": -0.5, "latency_ms@cpu": 1.25, "size_bytes": 0.5}}]


def test_audio_that_does_not_fit_is_left_out(tmp_path: Path, with_facts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pages.write_study(tmp_path)
    FOLDER[:] = [folder]
    assert all(one["audio"].startswith("data:audio/ogg;base64,") for one in data_of(write_page(folder).path)["heard"])
    monkeypatch.setattr(study_page, "AUDIO_BYTES", 10)
    assert [one["audio"] for one in data_of(write_page(folder).path)["heard"]] == [None, None]
