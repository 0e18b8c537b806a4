"""Tests of difference against exact enumeration and theory."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from paredown.quality import approximate_randomization, dagger, mapsswe, paired_bootstrap, score
from paredown.quality.pairs import Pairs
from paredown.quality.significance import bootstrap_pairs, randomize_pairs
from tests.quality.made_up import drawn_errors, word_errors

REFERENCES = ["the cat sat on the mat", "a dog ran over the hill", "birds sing in the morning", "no one came to the show"] * 3
WORSE = [line if number % 3 else line.replace("the", "an") for number, line in enumerate(REFERENCES)]


def swaps(pairs: Pairs) -> list[float]:
    """The effect after every way to exchange outputs."""
    effects = []
    for heads in product((False, True), repeat=len(pairs)):
        chosen = np.array(heads)[:, None]
        swapped = np.where(chosen, pairs.reference, pairs.candidate), np.where(chosen, pairs.candidate, pairs.reference)
        effects.append(Pairs(pairs.metric, *swapped).effect)
    return effects


@pytest.mark.parametrize("metric", ["chrf", "bleu", "wer"])
def test_randomization_is_the_share_of_all_exchanges(metric: str) -> None:
    pairs = Pairs.of(metric, WORSE[:10], REFERENCES[:10], REFERENCES[:10])
    sizes = np.abs(swaps(pairs))
    exact = float(np.mean(sizes >= abs(pairs.effect) - 1e-9))
    assert randomize_pairs(pairs).p_value == pytest.approx(exact, abs=0.02)  # 4 standard errors of 10,000 draws


def test_both_tests_find_what_students_test_finds() -> None:
    pairs = drawn_errors(500, 10.4, 10)
    differences = pairs.candidate[:, 0] - pairs.reference[:, 0]
    expected = stats.ttest_1samp(differences, 0)
    for found in (bootstrap_pairs(pairs), randomize_pairs(pairs)):
        assert found.effect == pytest.approx(differences.mean())
        assert found.p_value == pytest.approx(expected.pvalue, abs=0.02)
        assert found.ci95 == pytest.approx(tuple(expected.confidence_interval()), abs=0.05)
        assert found.smallest_visible == pytest.approx(1.96 * differences.std() / np.sqrt(500), rel=0.05)


def test_equal_systems_do_not_differ() -> None:
    for found in (paired_bootstrap("chrf", WORSE, WORSE, REFERENCES), approximate_randomization("chrf", WORSE, WORSE, REFERENCES)):
        assert (found.effect, found.p_value, found.dagger, found.ci95) == (0, 1, True, (0, 0))


def test_very_different_systems_do_and_p_is_never_zero() -> None:
    nothing = ["x"] * len(REFERENCES)
    for found in (
        paired_bootstrap("chrf", nothing, REFERENCES, REFERENCES),
        approximate_randomization("chrf", nothing, REFERENCES, REFERENCES),
    ):
        assert 0 < found.p_value < 0.01
        assert found.significant
        assert not found.dagger
        assert found.ci95[1] < 0


def test_an_effect_is_candidate_minus_other() -> None:
    for metric in ("chrf", "ter", "cer"):
        expected = score(metric, WORSE, REFERENCES).value - score(metric, REFERENCES, REFERENCES).value
        assert paired_bootstrap(metric, WORSE, REFERENCES, REFERENCES).effect == pytest.approx(expected)


def test_mapsswe_is_in_points_of_word_error_rate() -> None:
    found = mapsswe(WORSE, REFERENCES, REFERENCES)
    assert found.effect == pytest.approx(score("wer", WORSE, REFERENCES).value)
    assert found.effect - found.ci95[0] == pytest.approx(found.smallest_visible)
    assert (found.test, found.metric, found.utterances) == ("MAPSSWE", "wer", 12)


def test_mapsswe_of_segments_that_all_agree_is_a_sign_test() -> None:
    """One error more in every segment leaves no deviation; NIST's tool prints Z = 0 then, which would give the dagger to any loss."""
    line = "the cat sat on the mat"
    for errors, p_value in ((20, 0.5**19), (4, 0.125)):
        found = mapsswe([line.replace("sat", "x")] * errors + [line] * 10, [line] * (errors + 10), [line] * (errors + 10))
        assert found.p_value == p_value
        assert found.significant == (abs(found.effect) > found.smallest_visible)
    same = mapsswe([line], [line], [line])
    assert (same.p_value, same.effect, same.dagger) == (1, 0, True)


def test_the_dagger_is_mapsswe_for_words_and_the_bootstrap_for_the_rest() -> None:
    assert dagger("wer", WORSE, REFERENCES, REFERENCES).test == "MAPSSWE"
    assert dagger("chrf", WORSE, REFERENCES, REFERENCES) == paired_bootstrap("chrf", WORSE, REFERENCES, REFERENCES)


def test_a_bootstrap_interval_without_zero_is_a_significant_difference() -> None:
    for seed in range(20):
        found = bootstrap_pairs(drawn_errors(60, 11, 10, seed), draws=2000)
        inside = found.ci95[0] < 0 < found.ci95[1]
        assert inside == found.dagger or found.p_value == pytest.approx(0.05, abs=0.003)


def test_one_changed_output_is_no_difference() -> None:
    errors = np.zeros(50)
    errors[0] = 90
    assert bootstrap_pairs(word_errors(errors, np.zeros(50))).dagger
    assert randomize_pairs(word_errors(errors, np.zeros(50))).p_value == 1
