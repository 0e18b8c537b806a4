"""The timing process with real bundles: what it runs, what it reports, and that it has the machine to itself. No speed is asserted."""

import os
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from paredown.bundle import write_bundle  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.data import Split, load_split  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import load_model  # noqa: E402
from paredown.profilers import machine_lock  # noqa: E402
from paredown.profilers.latency.effort import CHEAP, Effort  # noqa: E402
from paredown.space.configuration import Configuration, Decode  # noqa: E402
from paredown.trials import timing  # noqa: E402
from paredown.trials.decoding import Decoder  # noqa: E402
from paredown.trials.timing import REFERENCE, Device, Stopwatch, Timed, audio_seconds, runner  # noqa: E402
from tests.commands.tiny import write_model, write_split  # noqa: E402

QUICK = Effort(repeats=2, loads=3, warmup=2)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    model = load_model(write_model(folder / "model"))
    write_bundle(model, compress_model(model, Configuration(decode=Decode(beam_size=2))), folder / "bundle")
    write_split(folder / "data", 3)
    return folder


@pytest.fixture
def bundle(place: Path) -> Path:
    return place / "bundle"


@pytest.fixture(scope="module")
def split(place: Path) -> Split:
    return load_split(place / "data")


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """So that other tests of this machine do not wait."""
    path = tmp_path / "lock"
    monkeypatch.setattr(machine_lock, "lock_path", lambda: path)
    return path


def test_a_session_reports_all_its_figures(bundle: Path, split: Split) -> None:
    with Stopwatch(threads=1) as stopwatch:
        found = stopwatch.time({REFERENCE: Timed(bundle), "greedy": Timed(bundle, 1)}, split, QUICK, fixed_tokens=4, seed=0)
    assert set(found) == {REFERENCE, "greedy"}
    for latency in found.values():
        conditions = latency.conditions
        assert conditions is not None
        assert (conditions.loads, conditions.stopped, latency.fixed_tokens) == (3, "effort", 4)
        assert conditions.cores is None or len(conditions.cores) == 1
        assert latency.free.rtf is not None
        assert latency.fixed is not None
        assert latency.fixed.tokens == 4.0
        assert latency.free.runs == len(latency.free.samples) == 6
        assert min(latency.free.samples) > 0.0
        assert [stage for stage, _ in latency.free.stage_shares] == ["features", "encoder", "search"]
        assert min(share for _, share in latency.free.stage_shares) > 0.0
        assert sum(share for _, share in latency.free.stage_shares) == pytest.approx(1.0)


def test_a_reference_stays_loaded_for_the_next_cheap_measurement(bundle: Path, split: Split) -> None:
    with Stopwatch(threads=1) as stopwatch:
        for _ in range(2):
            found = stopwatch.time({REFERENCE: Timed(bundle)}, split, CHEAP, fixed_tokens=None, seed=0)[REFERENCE]
            assert found.fixed is None
            assert found.free.runs == 3
        assert stopwatch.alone(count_kept) == (1, 1)  # found, made


def test_the_reference_of_a_study_stays_loaded_while_candidates_change(bundle: Path, split: Split, tmp_path: Path) -> None:
    with Stopwatch(threads=1) as stopwatch:
        for seed in range(6):
            candidate = shutil.copytree(bundle, tmp_path / f"candidate{seed}")
            stopwatch.time({REFERENCE: Timed(bundle), "candidate": Timed(candidate)}, split, CHEAP, fixed_tokens=None, seed=seed)
        assert stopwatch.alone(count_kept) == (5, 7)  # the reference once, each candidate once


def count_kept() -> tuple[int, int]:
    info = timing._kept.cache_info()
    return info.hits, info.misses


def test_two_candidates_of_one_bundle_are_two_loads(bundle: Path) -> None:
    device = Device(threads=1)
    one, other, again = (timing._kept(name, Timed(bundle), device, 0) for name in ("one", "other", "one"))
    assert one is again
    assert one is not other
    timing._kept.cache_clear()


def test_the_runner_translates_a_file_and_knows_its_seconds(bundle: Path, split: Split) -> None:
    files = tuple(utterance.audio for utterance in split.utterances)
    run, seconds = runner(Timed(bundle), files, Device(threads=1), fixed_tokens=5)
    assert [run(item) for item in range(3)] == [5, 5, 5]
    assert seconds == audio_seconds(Timed(bundle), files)
    assert all(0.1 < duration < 10.0 for duration in seconds)


def test_the_target_goes_to_the_runtime(bundle: Path) -> None:
    with pytest.raises(BadInput, match="target must be one of cpu, cuda, got 'tpu'"):
        runner(Timed(bundle), (), Device(1, "tpu"))  # type: ignore[arg-type]


def test_it_has_the_machine_to_itself(own_lock: Path) -> None:
    with Stopwatch(threads=1) as stopwatch:
        assert stopwatch.alone(try_to_work, own_lock) == f"process {os.getpid()}"
        with machine_lock.machine_share(path=own_lock), pytest.raises(RuntimeError, match="holds the machine once"):
            stopwatch.alone(os.getpid)
        assert stopwatch.alone(os.getpid) != os.getpid()


def try_to_work(path: Path) -> str:
    """Who is in the way of another process that would work now."""
    try:
        with machine_lock.machine_share(0.0, path):
            return "nobody"
    except BadInput as error:
        return str(error).partition(": ")[2].partition(" holds")[0]


def test_decoding_inside_a_measurement_is_refused_rather_than_waited_for(bundle: Path, split: Split) -> None:
    with Decoder(1) as decoder, machine_lock.machine_lock(0.0), pytest.raises(RuntimeError, match="holds the machine once"):
        decoder.decode(bundle, split)
