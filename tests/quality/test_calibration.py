"""How often the tests are wrong on real outputs: a small version of `tests/benchmarks/bench_judgement.py`.

300 utterances, the bundles of 4 bits and fp32. With 300 trials a share of 5 % has a standard error of 1.26 %: bounds are three of them
away. A test that forgets the pairs, or one of its tails, is further off than that.
"""

import numpy as np
import pytest

from paredown.quality.judgement import unseen_loss
from paredown.quality.pairs import Pairs
from tests.benchmarks.calibration import (
    P_VALUES,
    bootstrap_t_bound,
    false_alarms,
    false_alarms_of_mapsswe,
    percentile_bound,
    wrongly_passed,
)
from tests.benchmarks.recognizer import stuck
from tests.quality.mapsswe_cases import read_references, read_system, recognized

TRIALS, DRAWS = 300, 500
ERROR = 100 * np.sqrt(0.05 * 0.95 / TRIALS)
FP32, FOUR_BITS, REFERENCES = read_system("fp32"), read_system("4-bits"), read_references()
RECOGNIZED = recognized()


@pytest.mark.parametrize("test", P_VALUES)
@pytest.mark.parametrize("metric", ["chrf", "bleu", "wer"])
def test_five_percent_of_null_trials_are_rejected(test: str, metric: str) -> None:
    pairs = Pairs.of(metric, FOUR_BITS, FP32, REFERENCES)
    assert false_alarms(pairs, P_VALUES[test], TRIALS, DRAWS) == pytest.approx(5, abs=3 * ERROR)


def test_five_percent_of_null_trials_are_rejected_by_mapsswe() -> None:
    pair = RECOGNIZED.first, RECOGNIZED.second, RECOGNIZED.references
    assert false_alarms_of_mapsswe(*pair, 2 * TRIALS) == pytest.approx(5, abs=3 * ERROR / np.sqrt(2))


def test_no_more_than_five_percent_pass_at_a_loss_equal_to_the_margin() -> None:
    for pairs in (Pairs.of("wer", stuck(FP32), FP32, REFERENCES), Pairs.of("chrf", stuck(FOUR_BITS), FP32, REFERENCES)):
        assert wrongly_passed(pairs, bootstrap_t_bound, TRIALS, DRAWS) < 5 + 3 * ERROR


def test_the_percentile_bound_would_be_too_optimistic() -> None:
    """Why non-inferiority does not take it: few utterances carry all of the loss."""
    pairs = Pairs.of("wer", stuck(FP32), FP32, REFERENCES)
    assert wrongly_passed(pairs, percentile_bound, TRIALS, DRAWS) > 5 + 3 * ERROR


def test_a_loss_beyond_the_margin_is_not_passed_and_none_is_where_utterances_are_enough() -> None:
    pairs = Pairs.of("wer", FOUR_BITS, FP32, REFERENCES)
    assert bootstrap_t_bound(pairs, DRAWS) > 0.3
    same = Pairs.of("wer", FP32, FP32, REFERENCES)
    assert bootstrap_t_bound(same, DRAWS) == unseen_loss(same) > 0.3  # 300 are too few for this margin, 1,000 are not
    assert bootstrap_t_bound(Pairs("wer", np.tile(same.candidate, (4, 1)), np.tile(same.reference, (4, 1))), DRAWS) < 0.3
