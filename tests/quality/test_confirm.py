"""Fixed-order testing."""

from dataclasses import dataclass

import numpy as np

from paredown.quality.confirm import confirm_in_order


@dataclass(frozen=True)
class Answer:
    passed: bool


def test_nothing_is_tested_after_the_first_failure() -> None:
    asked = []

    def test(claim: str) -> Answer:
        asked.append(claim)
        return Answer(claim != "c")

    found = confirm_in_order(["a", "b", "c", "d"], test)
    assert asked == ["a", "b", "c"]
    assert found.confirmed == ("a", "b")
    assert [claim for claim, _ in found.tested] == ["a", "b", "c"]
    assert found.untested == ("d",)


def test_all_may_pass_and_none_may_be_there() -> None:
    assert confirm_in_order("ab", lambda _: Answer(True)).confirmed == ("a", "b")
    assert confirm_in_order([], lambda _: Answer(True)).tested == ()


def test_false_claims_are_confirmed_no_more_often_than_a_single_one() -> None:
    """Claims 3 to 10 are false, each passes by chance in 5 %: some false one is confirmed in 5 % of studies, not in 34 %."""
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(4000):
        found = confirm_in_order(range(10), lambda claim: Answer(claim < 2 or generator.random() < 0.05))
        wrong += any(claim >= 2 for claim in found.confirmed)
    assert 0.035 < wrong / 4000 < 0.065  # 4 standard errors
