"""Non-inferiority against theory where there is one, and on the cases that bounds get wrong."""

import numpy as np
import pytest
from scipy import stats

from paredown.quality import non_inferiority
from paredown.quality.judgement import judge, upper_bound
from paredown.quality.pairs import Pairs
from tests.quality.made_up import drawn_errors, word_errors

ALL_WRONG = 100  # errors in as many words: a system that has nothing more to lose, so that only what is seen is bounded
REFERENCES = ["the cat sat on the mat", "a dog ran over the hill", "birds sing in the morning"] * 40


def test_the_bound_of_a_mean_is_students() -> None:
    """Errors of equally long references: the loss is a mean of independent differences, whose one-sided bound is Student's."""
    pairs = drawn_errors(400, 102, ALL_WRONG)
    differences = pairs.candidate[:, 0] - pairs.reference[:, 0]
    expected = differences.mean() + stats.t.ppf(0.95, 399) * differences.std(ddof=1) / np.sqrt(400)
    found = judge(pairs, margin=3.0)
    assert found.loss == pytest.approx(differences.mean())
    assert found.upper95 == pytest.approx(expected, abs=0.05 * (expected - found.loss))  # 10,000 draws tell the quantile to 2 %
    assert found.smallest_visible == pytest.approx(found.upper95 - found.loss)


@pytest.mark.parametrize(("room", "passed"), [(0.01, True), (-0.01, False)])
def test_passed_is_a_bound_below_the_margin(room: float, passed: bool) -> None:
    pairs = drawn_errors(200, 11, 10)
    assert judge(pairs, upper_bound(pairs) + room).passed is passed


def test_worse_is_a_loss_in_either_direction_of_a_metric() -> None:
    worse = [line.rpartition(" ")[0] for line in REFERENCES]
    for metric in ("chrf", "bleu", "wer"):
        lost = non_inferiority(metric, worse, REFERENCES, REFERENCES)
        won = non_inferiority(metric, REFERENCES, worse, REFERENCES)
        assert lost.loss == pytest.approx(-won.loss)
        assert lost.loss > 1
        assert (lost.passed, won.passed) == (False, True)
    assert non_inferiority("chrf", worse, REFERENCES, REFERENCES).relative_loss == pytest.approx(
        non_inferiority("chrf", worse, REFERENCES, REFERENCES).loss
    )  # the other system scores 100
    assert non_inferiority("wer", worse, REFERENCES, REFERENCES).relative_loss is None  # the other system scores 0


def test_equal_outputs_lose_nothing_but_what_they_cannot_show() -> None:
    """A failure that costs the whole answer and strikes so many that none of n shows it in 5 % of tests."""
    many = non_inferiority("chrf", REFERENCES, REFERENCES, REFERENCES, margin=3.0)
    assert (str(many.loss), many.passed) == ("0.0", True)
    assert (1 - many.upper95 / 100) ** 120 == pytest.approx(0.05)  # the other system scores 100
    few = [non_inferiority("chrf", REFERENCES[:count], REFERENCES[:count], REFERENCES[:count], margin=3.0) for count in (1, 3, 60)]
    assert [found.passed for found in few] == [False, False, False]
    assert few[0].upper95 == pytest.approx(95.0)


def test_what_no_utterance_shows_is_passed_in_a_twentieth_of_tests() -> None:
    """3 of 1,000 answers are lost, all of each; the true loss is the margin, and 5 % of samples hold none of them."""
    generator = np.random.default_rng(0)
    counts = generator.binomial(1000, 0.003, 400)
    bounds = {}
    for count in set(counts.tolist()):
        errors = np.zeros(1000, dtype=np.int64)
        errors[:count] = 100
        bounds[count] = upper_bound(word_errors(errors, np.zeros(1000)), draws=1000)
    assert bounds[0] == pytest.approx(0.2991, abs=1e-4)
    assert [count for count, bound in bounds.items() if bound < 0.3] == [0]


def test_a_system_that_has_nothing_to_lose_needs_no_room() -> None:
    assert judge(word_errors(np.full(5, ALL_WRONG), np.full(5, ALL_WRONG)), 1.0).upper95 == 0


@pytest.mark.parametrize(("changed", "poisson"), [(1, 4.74), (2, 6.30), (5, 10.51)])
def test_few_changed_outputs_are_bounded_as_counts_are(changed: int, poisson: float) -> None:
    """Each costs one error: their number is Poisson, whose exact one-sided 95 % bound is known. Ours is finite and about as large."""
    errors = np.full(1000, ALL_WRONG)
    errors[:changed] += 1
    bound = upper_bound(word_errors(errors, np.full(1000, ALL_WRONG))) * 1000
    assert 0.9 * poisson < bound < 2.5 * poisson


def test_more_utterances_see_smaller_effects() -> None:
    few, many = (judge(drawn_errors(count, ALL_WRONG, ALL_WRONG), 1.0).smallest_visible for count in (100, 1600))
    assert few / many == pytest.approx(4, rel=0.25)  # the square root of 16


def test_a_larger_loss_passes_the_percentile_bound_too_often_but_not_this_one() -> None:
    """15 of 1,000 outputs repeat themselves; the true loss is the margin. Passed in 5 % at most, up to 3 standard errors of 400 trials."""
    generator = np.random.default_rng(0)
    errors = np.full(1000, ALL_WRONG)
    errors[:15] += 60
    margin = errors.mean() - ALL_WRONG  # in percent, as references have 100 words
    bounds = []
    for _ in range(400):
        pick = generator.integers(0, 1000, 1000)
        bounds.append(upper_bound(word_errors(errors[pick], np.full(1000, ALL_WRONG)), draws=1000))
    assert np.mean(np.array(bounds) < margin) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_equal_seeds_give_equal_bounds() -> None:
    pairs = drawn_errors(100, ALL_WRONG, ALL_WRONG)
    assert judge(pairs, seed=1) == judge(pairs, seed=1)
    assert judge(pairs, seed=1) != judge(pairs, seed=2)


def test_lengths_and_margins_are_checked() -> None:
    with pytest.raises(ValueError, match="got 1, 2 and 2"):
        non_inferiority("chrf", ["a"], ["a", "b"], ["a", "b"])
    with pytest.raises(ValueError, match="above zero"):
        non_inferiority("chrf", ["a"], ["a"], ["a"], margin=-1.0)
    with pytest.raises(ValueError, match="must be given for ter"):
        non_inferiority("ter", ["a"], ["a"], ["a"])


def test_statistics_taken_before_give_the_same() -> None:
    worse = [line.replace("the", "a") for line in REFERENCES]
    assert judge(Pairs.of("chrf", worse, REFERENCES, REFERENCES)) == non_inferiority("chrf", worse, REFERENCES, REFERENCES)
