"""The judge's gaps are those of paired figures; what it stops is dominated or beyond a budget in full scores too."""

import numpy as np
import pytest

from paredown.quality import paired_difference, score
from paredown.search.racing import Cost, Rule, Subsets
from paredown.trials.race_judge import Lines, RaceJudge

RNG = np.random.default_rng(0)
WORDS = ["Haus", "Baum", "gehen", "morgen", "schnell", "Wasser", "und", "der", "kleine", "Hund", "nicht", "immer"]
REFERENCES = [" ".join(RNG.choice(WORDS, size=int(RNG.integers(4, 12)))) for _ in range(120)]
SUBSETS = Subsets.of([len(line) for line in REFERENCES], 0)
COST = (Cost("size_bytes", 10.0),)


def damaged(share: float, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join("xx" if rng.random() < share else word for word in line.split()) for line in REFERENCES]


def part(texts: list[str], look: int) -> list[str]:
    return [texts[index] for index in SUBSETS.known(look)]


@pytest.mark.parametrize("metric", ["chrf", "bleu", "wer"])
def test_statistics_of_lines_are_those_of_the_corpus(metric: str) -> None:
    lines, texts = Lines(metric, REFERENCES), damaged(0.3, 1)
    judge = RaceJudge(lines, REFERENCES, SUBSETS)
    perfect = {"chrf": 100.0, "bleu": 100.0, "wer": 0.0}[metric]
    sign = -1 if metric == "wer" else 1
    own = score(metric, texts, REFERENCES).value  # sacrebleu's, of the corpus
    assert judge.least_gap(own) == pytest.approx(sign * (own - perfect))
    known, everything = list(SUBSETS.known(1)), lines.counts(REFERENCES, range(len(lines)))
    gap = judge._gap(lines.counts(part(texts, 1), known), everything, np.zeros((len(lines), 0)), known)
    paired = paired_difference(metric, part(texts, 1), part(REFERENCES, 1), part(REFERENCES, 1))
    assert gap.points == pytest.approx(sign * paired.value)
    spread = (paired.ci95[1] - paired.ci95[0]) / 2 / 1.96
    assert gap.standard_error == pytest.approx(spread, rel=0.25)  # bootstrap of 30 utterances: skewed, and narrower by 30 / 29


@pytest.mark.parametrize("metric", ["chrf", "wer"])
def test_the_dominated_stops_and_the_better_goes_on(metric: str) -> None:
    judge = RaceJudge(Lines(metric, REFERENCES), REFERENCES, SUBSETS)
    judge.add(0, (Cost("size_bytes", 40.0),), REFERENCES)
    judge.add(5, COST, damaged(0.1, 1))
    verdict = judge.judge(0, COST, part(damaged(0.6, 2), 0))
    assert verdict.stop
    assert "dominated by trial 5 on 16 of 120 utterances" in verdict.reason
    assert not judge.judge(0, COST, part(damaged(0.02, 3), 0)).stop
    assert not judge.judge(0, (Cost("size_bytes", 9.0),), part(damaged(0.6, 2), 0)).stop  # nobody is as small
    assert not judge.judge(len(SUBSETS) - 1, COST, part(damaged(0.6, 2), len(SUBSETS) - 1)).stop


def test_a_few_utterances_that_differ_prove_nothing() -> None:
    """One slope would explain the only utterance that differs, and leave an error of nothing."""
    judge = RaceJudge(Lines("chrf", REFERENCES), REFERENCES, SUBSETS)
    for number in range(8):
        judge.add(number, (Cost("size_bytes", 40.0),), damaged(0.05 * number, number))
    texts = damaged(0.05, 1)
    almost = list(texts)
    for index in SUBSETS.known(0)[:3]:
        almost[index] = "xx"
    judge.add(9, (Cost("size_bytes", 1.0),), texts)
    assert not judge.judge(0, COST, part(almost, 0)).stop


def test_a_budget_stops_without_a_rival() -> None:
    judge = RaceJudge(Lines("chrf", REFERENCES), damaged(0.05, 9), SUBSETS)
    verdict = judge.judge(0, COST, part(damaged(0.6, 2), 0), [("quality >= -5", -5.0)])
    assert verdict.stop
    assert verdict.reason.startswith("breaks the budget quality >= -5 on 16 of 120")
    assert not judge.judge(0, COST, part(damaged(0.06, 4), 0), [("quality >= -5", -5.0)]).stop


def test_what_others_show_makes_a_gap_surer_and_keeps_it_honest() -> None:
    """Trials that fail on the same utterances: errors by regression are smaller, and as large as they say they are (mean square near 1;
    the tolerance is what 240 correlated draws and Student's t of 26 degrees allow).
    """
    hard = np.random.default_rng(5).random(len(REFERENCES)) < 0.4

    def failing(share: float, seed: int) -> list[str]:
        return [bad if difficult else good for bad, good, difficult in zip(damaged(share, seed), damaged(0.05, seed), hard, strict=True)]

    lines, ratios, squares = Lines("chrf", REFERENCES), [], []
    for seed in range(20):
        subsets = Subsets.of([len(line) for line in REFERENCES], seed)
        judge, known = RaceJudge(lines, REFERENCES, subsets), list(subsets.known(1))
        for number in range(12):
            judge.add(number, COST, failing(0.3 + 0.05 * number, number))
        for number in range(12):
            texts = failing(0.5, 100 + number)
            counts = lines.counts([texts[index] for index in known], known)
            alone = judge._gap(counts, judge._uncompressed, np.zeros((len(lines), 0)), known)
            surer, _ = judge._gaps(counts, [], known)
            truth = score("chrf", texts, REFERENCES).value - 100
            ratios.append(surer.error / alone.error)
            squares.append(((surer.points - truth) / surer.error) ** 2)
    assert np.median(ratios) < 0.75
    assert 0.4 < np.mean(squares) < 1.6


def test_members_of_the_front_are_rarely_stopped() -> None:
    """A candidate that is truly better by a hair, against three rivals: in 200 races on other subsets it stops in at most 2 %."""
    rivals = [damaged(0.21, seed) for seed in range(3)]
    best = max(score("chrf", texts, REFERENCES).value for texts in rivals)
    lines, stopped, races = Lines("chrf", REFERENCES), 0, 0
    candidates = [texts for seed in range(10, 40) if best < score("chrf", texts := damaged(0.2, seed), REFERENCES).value < best + 1.0]
    for seed in range(40):
        subsets = Subsets.of([len(line) for line in REFERENCES], seed)
        judge = RaceJudge(lines, REFERENCES, subsets, Rule())
        for number, texts in enumerate(rivals):
            judge.add(number, COST, texts)
        for texts in candidates:
            looks = range(len(subsets) - 1)
            stopped += any(judge.judge(look, COST, [texts[index] for index in subsets.known(look)]).stop for look in looks)
            races += 1
    assert races >= 200
    assert stopped / races <= 0.02
