"""The benchmark of latency counts what it says, goes on where it stopped, and slows down by what it says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from paredown.data import Split, Utterance
from tests.benchmarks.bench_latency import SAME, SLOWED, Result, append, describe, judge, read_results, short_utterances, slowed

RESULT = Result(SAME, 0, "a bundle", 1.0, 0.99, 1.02, 12, 48, 8.0, "narrow", 0.01, False)
WANTED = {SAME: 4, SLOWED: 2}


def test_the_bars_are_shares_of_runs() -> None:
    same = [RESULT, RESULT, replace(RESULT, low=1.001), replace(RESULT, low=0.97)]
    slow = [replace(RESULT, part=SLOWED, ratio=1.05, low=1.01, high=1.09), replace(RESULT, part=SLOWED)]
    bars = judge(same + slow, WANTED)
    assert [bar.figure for bar in bars] == [0.75, 0.75, 0.75, pytest.approx(0.05), 0.5]
    assert [bar.verdict for bar in bars] == ["missed", "met", "missed", "missed", "missed"]
    met = judge([replace(RESULT, number=number) for number in range(4)], WANTED)
    assert [bar.verdict for bar in met] == ["met", "missed", "met", "met", "not run (only 0 runs)"]  # always is too often
    assert judge([RESULT], WANTED)[0].verdict == "not run (only 1 runs)"
    assert len(list(describe(same + slow))) == 4


def test_a_second_call_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "build/results.jsonl"
    assert read_results(path, "a bundle") == []
    append(path, RESULT)
    append(path, replace(RESULT, number=1))
    with path.open("a") as file:
        file.write(json.dumps({"part": SAME})[:-3])  # killed while it wrote
    assert read_results(path, "a bundle") == [RESULT, replace(RESULT, number=1)]
    with pytest.raises(SystemExit, match="holds runs of a bundle, not of another"):
        read_results(path, "another")


def test_the_injected_slowdown_is_a_share_of_the_call() -> None:
    now_s = 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += 1e-6
        return now_s

    def run(item: int) -> int:
        nonlocal now_s
        now_s += 0.02 * item
        return 7

    for item in (1, 2):
        begin = now_s
        assert slowed(run, 0.05, clock)(item) == 7
        assert now_s - begin == pytest.approx(1.05 * 0.02 * item, rel=1e-3)
    begin = now_s
    slowed(run, 0.0, clock)(1)
    assert now_s - begin == pytest.approx(0.02, rel=1e-3)


def test_the_shortest_utterances_are_taken(tmp_path: Path) -> None:
    utterances = []
    for number, size in enumerate((50, 10, 30, 20, 40)):
        (tmp_path / f"{number}.wav").write_bytes(bytes(size))
        utterances.append(Utterance(f"u{number}", tmp_path / f"{number}.wav", "a", None))
    assert [utterance.id for utterance in short_utterances(Split("s", tuple(utterances)), 2).utterances] == ["u1", "u2"]
