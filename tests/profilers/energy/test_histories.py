"""10,000 simulated counter histories: no wrong joule, no silent zero; clean ones are always answered."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from paredown.errors import BadInput
from paredown.profilers.energy.counter import DENSE_S
from paredown.profilers.energy.powercap import PSYS_MAX_POWER_W, PowercapSource
from tests.profilers.energy.simulator import FAULTS, Outcome, play, random_machine
from tests.profilers.energy.trees import LAYOUTS, write_packages, write_zones

HISTORIES = 10_000
ON_FILES = 100
# A load that jumps within the hundredths of a second that hold a wrap cannot be told from a reset: refused, and measured again.
ANSWERED_UNDER_STEPS = 0.98
# What a register that is set back alone around its wrap may hide: one look at the maximum power.
LONE_RESET_J = PSYS_MAX_POWER_W * (DENSE_S + 0.005)
LAYOUT_NAMES = [name for name in LAYOUTS if "twice" not in name]


def play_many(folder: Path, count: int, seed: int, longest_s: float = 60.0, on_files: bool = False, only: str = "") -> list[Outcome]:
    rng = np.random.default_rng(seed)
    for name in LAYOUT_NAMES:
        write_zones(folder / name, LAYOUTS[name])
    outcomes = []
    for place in range(count):
        zones = LAYOUTS[LAYOUT_NAMES[place % len(LAYOUT_NAMES)]]
        root = folder / LAYOUT_NAMES[place % len(LAYOUT_NAMES)]
        duration_s = float(np.exp(rng.uniform(np.log(1.0), np.log(longest_s))))
        fault = FAULTS[int(rng.integers(len(FAULTS)))] if rng.random() < 0.7 else "none"
        fault = only or fault
        outcomes.append(play(random_machine(rng, zones, duration_s, fault), root, duration_s, rng, on_files))
    return outcomes


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    return play_many(tmp_path_factory.mktemp("served"), HISTORIES, seed=0)


def test_no_joule_is_wrong(outcomes: list[Outcome]) -> None:
    assert [outcome for outcome in outcomes if outcome.wrong_j is not None and outcome.wrong_j > 0.0] == []


def test_what_is_refused_has_a_reason(outcomes: list[Outcome]) -> None:
    refused = [outcome for outcome in outcomes if outcome.wrong_j is None]
    assert all(outcome.reason for outcome in refused)
    kinds = Counter(outcome.reason.split(":")[0] for outcome in refused)
    assert {"AccessLost", "DomainVanished", "CounterReset", "CounterStill", "WrapUnresolved"} <= set(kinds)


def test_clean_histories_are_answered_with_their_wraps(outcomes: list[Outcome]) -> None:
    clean = [outcome for outcome in outcomes if outcome.fault == "none"]
    assert len(clean) > HISTORIES / 4
    assert all(outcome.wrong_j is not None for outcome in clean), [outcome for outcome in clean if outcome.wrong_j is None][:3]
    assert sum(outcome.wraps > 0 for outcome in clean) > len(clean) / 4


def test_steps_of_load_are_hardly_ever_refused(outcomes: list[Outcome]) -> None:
    steps = [outcome for outcome in outcomes if outcome.fault == "steps of load"]
    assert np.mean([outcome.wrong_j is not None for outcome in steps]) > ANSWERED_UNDER_STEPS


@pytest.mark.parametrize("fault", ["suspend", "machine reset", "package reset", "permission", "vanished", "garbage", "stopped", "late"])
def test_what_the_system_tells_is_always_refused(outcomes: list[Outcome], fault: str) -> None:
    struck = [outcome for outcome in outcomes if outcome.fault == fault and outcome.fired]
    assert len(struck) > 100
    assert all(outcome.wrong_j is None for outcome in struck)


def test_a_register_that_is_set_back_alone_hides_one_look_at_most(tmp_path: Path) -> None:
    """The one thing a counter cannot tell: a reset within a few joules of its wrap. Any other is refused."""
    outcomes = play_many(tmp_path, 1000, seed=2, only="lone reset")
    answered = [outcome.wrong_j for outcome in outcomes if outcome.wrong_j is not None]
    assert len(answered) < 0.02 * len(outcomes)
    assert all(wrong_j <= LONE_RESET_J for wrong_j in answered)


def test_the_same_on_real_files(tmp_path: Path) -> None:
    outcomes = play_many(tmp_path, ON_FILES, seed=1, longest_s=1.5, on_files=True)
    assert [outcome for outcome in outcomes if outcome.wrong_j is not None and outcome.wrong_j > 0.0] == []
    assert all(outcome.wrong_j is not None for outcome in outcomes if outcome.fault == "none")
    assert any(outcome.wrong_j is None for outcome in outcomes)


def test_a_machine_with_a_missing_package_is_refused(tmp_path: Path) -> None:
    write_zones(tmp_path, {"intel-rapl:0": "package-0"})
    write_packages(tmp_path, 2)
    with pytest.raises(BadInput, match="must count all 2 processor packages of this machine, found package-0"):
        PowercapSource(tmp_path)


def test_a_machine_without_packages_is_refused(tmp_path: Path) -> None:
    write_zones(tmp_path, {"intel-rapl:0": "psys"})
    with pytest.raises(BadInput, match="needs a package zone"):
        PowercapSource(tmp_path)
