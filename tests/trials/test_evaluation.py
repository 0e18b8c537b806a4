"""The pieces of an evaluation that can be said exactly: which utterances are timed, and how figures of one study share a scale."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paredown.data import Split, Utterance
from paredown.errors import BadInput
from paredown.profilers.energy.energy import Energy, Figures, Origin
from paredown.profilers.energy.spread import Spread
from paredown.profilers.latency import Latency, Timing
from paredown.quality import score
from paredown.search.outcome import Rejected
from paredown.trials import evaluation
from paredown.trials.decoding import Hypothesis
from paredown.trials.evaluation import Evaluator, Reference, energy_on_one_scale, on_one_scale, spread_by_length


def split_of_sizes(folder: Path, sizes: list[int]) -> Split:
    utterances = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}.wav"
        path.write_bytes(bytes(size))
        utterances.append(Utterance(f"u{number}", path, "a", "b"))
    return Split("s", tuple(utterances))


def test_timed_utterances_cover_short_and_long_ones(tmp_path: Path) -> None:
    split = split_of_sizes(tmp_path, [9, 1, 5, 7, 3, 8, 2, 6, 4, 0])
    sizes = [utterance.audio.stat().st_size for utterance in spread_by_length(split, 5).utterances]
    # one of each fifth of the lengths
    assert [size // 2 for size in sizes] == [0, 1, 2, 3, 4]


def test_a_small_split_is_taken_whole(tmp_path: Path) -> None:
    split = split_of_sizes(tmp_path, [3, 1])
    assert spread_by_length(split, 5) == split


def test_the_ratio_is_put_on_the_scale_of_the_study() -> None:
    """A machine that has become twice as slow since the reference was timed changes the clock's figure, not the trial's."""
    timing = Timing(median_ms=40.0, p90_ms=None, ci95_ms=(38.0, 42.0), ratio=0.5, ratio_ci95=(0.45, 0.55), runs=24, tokens=11.0)
    result = on_one_scale(Latency(timing, timing), reference_ms=40.0)
    assert result.value == pytest.approx(20.0)
    assert result.ci95 == pytest.approx((18.0, 22.0))
    assert result.detail_of["clock_median"] == 40.0
    assert result.detail_of["tokens"] == 11.0


ORIGIN = Origin("estimate", "an estimate", "cpu", "a model", "estimated")


def energy_of(gross_mj: list[float], ratios: list[float]) -> Energy:
    figures = Figures(Spread.of(gross_mj), None, (("cpu", gross_mj[0]),), 1.0, None, Spread.of_ratios(ratios), 2.0, 16, 1, 3.0, 0, None)
    return Energy(ORIGIN, figures)


def test_energy_is_put_on_the_scale_of_the_study_and_stays_an_estimate() -> None:
    """All ratios one half: the machine drew twice as much in this trial as when the reference was counted."""
    result = energy_on_one_scale(energy_of([80.0, 80.0], [0.5, 0.5]), reference_mj=80.0)
    assert (result.value, result.ci95) == (pytest.approx(40.0), pytest.approx((40.0, 40.0)))
    assert (result.unit, result.provenance, result.detail_of["counted_mean"]) == ("mJ", "estimated", 80.0)


def test_the_reference_itself_keeps_its_own_interval() -> None:
    result = energy_on_one_scale(energy_of([79.0, 81.0], [1.0, 1.0]), reference_mj=70.0)
    assert result.value == 80.0
    assert result.ci95 is not None
    assert result.ci95[0] < 79.0


def evaluator_of(split: Split, counted: dict[str, Energy], monkeypatch: pytest.MonkeyPatch) -> Evaluator:
    """One whose counters give `counted`."""
    monkeypatch.setattr(evaluation, "meter", lambda *given, **named: counted)
    unused: Any = Faked()
    return Evaluator(unused, unused, unused, split, "chrf", 0, unused, energy=unused)


class Faked:
    """Stands for what these tests do not reach."""

    folder = Path("nowhere")

    instructions: tuple[str, ...] = ()

    class model:  # noqa: N801
        task = "st"


def test_unspaced_text_is_cut_by_the_right_tokenizer_and_nothing_counts_words_in_it(tmp_path: Path) -> None:
    """BLEU of a study is that of `paredown evaluate`; cut at white space, half a sentence right would be nothing right."""
    reference, half = "他们昨天在城里买了新的书", "他们昨天在城里卖了旧的车"
    audio = tmp_path / "0.wav"
    audio.write_bytes(bytes(10))
    split = Split("s", (Utterance("u0", audio, reference, reference),))

    def measured(task: str, metric: str) -> dict[str, Any]:
        faked: Any = SimpleNamespace(model=SimpleNamespace(task=task), folder=tmp_path, instructions=())
        found = (Hypothesis(half, (1, 2), False),)
        evaluator = Evaluator(faked, faked, faked, split, metric, 0, faked)
        evaluator._reference = Reference(tmp_path, found, 1.0, None)
        return dict(evaluator.quality(found))

    bleu = measured("st", "bleu")["bleu"]
    assert bleu.value == pytest.approx(score("bleu", [half], [reference], tokenizer="zh").value)
    assert bleu.value > 10
    assert "tok:zh" in bleu.detail_of["signature"]
    assert set(measured("asr", "chrf")) == {"quality", "chrf"}
    assert set(measured("st", "chrf")) == {"quality", "chrf", "bleu"}


def test_a_refused_candidate_is_rejected_and_a_refused_reference_stops_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that is rejected is not tried again: it must not be, for what is no fault of its configuration."""
    refused, fine = Energy(ORIGIN, None, "CounterReset: it slept"), energy_of([80.0], [1.0])
    split = split_of_sizes(tmp_path, [1])
    evaluator = evaluator_of(split, {"reference": fine, "candidate": refused}, monkeypatch)
    with pytest.raises(Rejected, match="energy could not be counted: CounterReset: it slept"):
        evaluator.count_energy(tmp_path / "candidate", tmp_path / "reference")
    evaluator = evaluator_of(split, {"reference": refused}, monkeypatch)
    with pytest.raises(BadInput, match=r"the uncompressed model must have a figure of energy first; .*CounterReset: it slept"):
        evaluator._count_reference(tmp_path / "reference")
