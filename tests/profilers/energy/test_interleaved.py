import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from paredown.profilers.energy.base import AccessLost
from paredown.profilers.energy.energy import Energy
from paredown.profilers.energy.interleaved import Run, measure_energy, merge_details
from paredown.profilers.energy.protocol import CHEAP, ON_DEVICE_ST, Protocol
from paredown.profilers.energy.spread import Spread
from paredown.profilers.measurement import Measurement
from tests.profilers.energy.rigs import Rig, estimate_rig, nvml_rig, powercap_rig

SHORT = Protocol(utterances=5, passes=2, repeats=4, idle_s=10.0, warmup=0)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return powercap_rig(tmp_path, "intel 2 sockets")


def runner(rig: Rig, seconds: float, watts: float, tokens: int, log: list[str] | None = None, name: str = "") -> Run:
    def run(item: int) -> int:
        rig.draw(seconds, watts)
        if log is not None:
            log.append(name)
        return tokens

    return run


def measure(rig: Rig, candidates: dict[str, Run], protocol: Protocol = SHORT, items: int = 5) -> dict[str, Energy]:
    def rest(seconds: float) -> None:
        rig.draw(max(seconds, 1e-3), 4.0)

    lengths = [2.0] * items
    return measure_energy(candidates, "reference", items, lengths, rig.source, protocol, np.random.default_rng(0), rig.clock, rest)


def test_figures_are_per_utterance_second_and_token(rig: Rig) -> None:
    found = measure(rig, {"reference": runner(rig, 0.5, 20.0, 8), "half": runner(rig, 0.25, 20.0, 4)})
    figures = found["half"].figures
    assert figures is not None
    assert figures.gross_mj.value == pytest.approx(5000.0, rel=1e-6)
    assert figures.net_mj is not None
    assert figures.net_mj.value == pytest.approx(4000.0, rel=1e-3)  # 4 W idle for a quarter of a second
    assert figures.audio_mj_per_s == pytest.approx(2500.0, rel=1e-6)
    assert figures.token_mj == pytest.approx(1250.0, rel=1e-6)
    assert figures.ratio is not None
    assert figures.ratio.value == pytest.approx(0.5, rel=1e-6)
    assert dict(figures.domains_mj)["package-0"] == pytest.approx(2500.0, rel=1e-5)
    assert dict(figures.domains_mj)["dram-1"] == pytest.approx(1250.0, rel=1e-5)
    assert (figures.power_w, figures.seconds) == (pytest.approx(20.0, rel=1e-5), pytest.approx(10.0))  # 4 windows of 2 x 5 utterances
    told, detail = found["half"].to_dict(), found["half"].to_measurement().detail_of
    for figure, value in (("per_audio_s", 2500.0), ("per_token", 1250.0), ("power_w", 20.0), ("idle_w", 4.0)):
        assert (told[figure], detail[figure]) == (pytest.approx(value, rel=1e-3), pytest.approx(value, rel=1e-3))


def test_ratios_are_taken_within_a_repeat(rig: Rig) -> None:
    """A machine that draws more with every run: each window is held against the reference's of the same repeat."""
    drift = [20.0]

    def drifting(item: int) -> int:
        drift[0] += 0.5
        rig.draw(0.5, drift[0])
        return 0

    found = measure(rig, {"reference": drifting, "same": drifting})
    figures, base = found["same"].figures, found["reference"].figures
    assert figures is not None
    assert base is not None
    assert figures.ratio is not None
    pairs = zip(figures.gross_mj.samples, base.gross_mj.samples, strict=True)
    assert figures.ratio.samples == pytest.approx([mine / other for mine, other in pairs])
    assert figures.token_mj is None  # none was decoded: not the energy of all of them


def test_estimates_stay_estimates_and_have_no_idle(tmp_path: Path) -> None:
    rig = estimate_rig(tmp_path)
    found = measure(rig, {"reference": runner(rig, 0.5, 20.0, 8)})["reference"]
    assert found.figures is not None
    assert (found.figures.idle, found.figures.net_mj) == (None, None)
    assert found.to_dict()["provenance"] == found.to_measurement().provenance == "estimated"


def test_a_window_is_as_long_as_its_source_asks(tmp_path: Path) -> None:
    """NVML: five seconds, where the protocol would be content with one."""
    rig = nvml_rig(counts=True)
    found = measure(rig, {"reference": runner(rig, 0.1, 70.0, 8)}, Protocol(5, 2, 3, idle_s=0.0, warmup=0))["reference"]
    assert found.figures is not None
    assert found.figures.refused == 0
    assert found.figures.passes >= 10


def test_json_keeps_the_stable_keys_and_goes_round_as_a_measurement(rig: Rig) -> None:
    found = measure(rig, {"reference": runner(rig, 0.5, 20.0, 8)})["reference"]
    value = found.to_dict()
    assert value["value"] == pytest.approx(10_000.0)
    assert (value["provenance"], value["source"], value["repeats"], len(value["ci95"])) == ("measured", "rapl", 4, 2)
    measurement = found.to_measurement()
    assert measurement.unit == "mJ"
    assert Measurement.from_json(measurement.to_json()) == measurement


def test_every_repeat_gives_each_candidate_one_window_in_random_order(rig: Rig) -> None:
    log: list[str] = []
    candidates = {name: runner(rig, 0.5, 20.0, 8, log, name) for name in ("reference", "a", "b")}
    measure(rig, candidates)
    windows = [log[place] for place in range(0, len(log), 10)]
    assert all(sorted(windows[begin : begin + 3]) == ["a", "b", "reference"] for begin in range(0, 12, 3))
    assert len({tuple(windows[begin : begin + 3]) for begin in range(0, 12, 3)}) > 1


def test_passes_are_repeated_until_a_window_is_long_enough(rig: Rig) -> None:
    found = measure(rig, {"reference": runner(rig, 0.01, 20.0, 8)})["reference"]
    assert found.figures is not None
    assert found.figures.passes >= 20
    assert found.figures.gross_mj.value == pytest.approx(200.0, rel=1e-4)


@pytest.mark.parametrize(("failures", "refused"), [(1, 1), (2, None)])
def test_a_refused_window_is_measured_once_again(rig: Rig, failures: int, refused: int | None) -> None:
    """Access goes in the first windows, and comes back before the next."""
    stop, left = rig.source.stop, failures

    def stop_with_failures() -> Mapping[str, float]:
        nonlocal left
        joules = stop()
        if left:
            left -= 1
            raise AccessLost("package-0: may not be read")
        return joules

    rig.source.stop = stop_with_failures
    protocol = Protocol(utterances=5, passes=2, repeats=3, idle_s=0.0, warmup=0)
    found = measure(rig, {"reference": runner(rig, 0.5, 20.0, 8)}, protocol)["reference"]
    if refused is None:
        assert found.figures is None
        assert found.reason == "AccessLost: package-0: may not be read"
        assert found.to_measurement().provenance == "unavailable"
    else:
        assert found.figures is not None
        assert (found.figures.refused, len(found.figures.gross_mj.samples)) == (refused, 3)
        assert found.figures.gross_mj.value == pytest.approx(10_000.0, rel=1e-4)


def test_without_idle_there_is_no_net(rig: Rig) -> None:
    found = measure(rig, {"reference": runner(rig, 0.5, 20.0, 8)}, CHEAP)["reference"]
    assert found.figures is not None
    assert found.figures.net_mj is None
    assert found.to_dict()["net"] is None


def test_the_preset_of_the_first_paper() -> None:
    assert (ON_DEVICE_ST.utterances, ON_DEVICE_ST.passes, ON_DEVICE_ST.repeats) == (100, 4, 5)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [("passes", 0, "passes .* at least 1, got 0"), ("idle_s", -1.0, "at least 0, got -1"), ("window_s", 0.5, "1 s at least .*, got 0.5")],
)
def test_protocols_that_cannot_be(field: str, value: float, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Protocol(**{"utterances": 1, "passes": 1, "repeats": 1, "idle_s": 0.0, field: value})


def test_bad_arguments_are_named(rig: Rig) -> None:
    run = runner(rig, 0.5, 20.0, 8)
    with pytest.raises(ValueError, match="reference must be one of a, got 'reference'"):
        measure(rig, {"a": run})
    with pytest.raises(ValueError, match="at least 1 utterance, got 0"):
        measure(rig, {"reference": run}, items=0)


def test_the_interval_is_students() -> None:
    samples = [10.0, 11.0, 12.5, 9.0, 10.5]
    expected = stats.t.interval(0.95, 4, loc=np.mean(samples), scale=stats.sem(samples))
    assert Spread.of(samples).ci95 == pytest.approx(expected)
    assert Spread.of([3.0]) == Spread(3.0, None, None, (3.0,))
    low, high = Spread.of_ratios([0.5, 2.0]).ci95 or (math.nan, math.nan)
    assert low * high == pytest.approx(1.0)


def test_details_of_windows_are_joined() -> None:
    first = (("sm_mhz_min", 100), ("t_c_max", 50), ("power", 1.0), ("reasons", "none"), ("missing", None))
    second = (("sm_mhz_min", 90), ("t_c_max", 60), ("power", 2.0), ("reasons", "power cap"), ("missing", None))
    joined = dict(merge_details([first, second]))
    assert joined == {"sm_mhz_min": 90, "t_c_max": 60, "power": 1.5, "reasons": "none; power cap", "missing": None}
