"""What is a number, and what only looks like one."""

import numpy as np

from paredown.runtime.numbers import is_finite, is_whole


def test_whole_numbers() -> None:
    assert all(map(is_whole, (0, -3, 10**30, np.int64(2))))
    assert not any(map(is_whole, (True, 1.0, "1", None, np.float32(1))))


def test_finite_numbers() -> None:
    assert all(map(is_finite, (0, -2.5, np.float32(1))))
    assert not any(map(is_finite, (True, float("nan"), float("inf"), 10**400, "1", None)))
