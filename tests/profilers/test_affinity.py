"""Cores are chosen for a block and given back."""

import os

import pytest

from paredown.errors import BadInput
from paredown.profilers.affinity import pinned


def test_pins_and_gives_back() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    with pinned([core]):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with pytest.raises(RuntimeError, match="fault"), pinned([core]):
        raise RuntimeError("fault")
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("cores", [[], [10_000]])
def test_cores_that_are_not_there_are_refused(cores: list[int]) -> None:
    with pytest.raises(BadInput, match="cores must be among"), pinned(cores):
        pytest.fail("it pinned")


def test_a_system_without_affinity_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    with pytest.raises(BadInput, match="on Linux only"), pinned([0]):
        pytest.fail("it pinned")
