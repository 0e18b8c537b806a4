"""`paredown run --ray` on a tiny model: the same study file, the same figures as on this machine alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs the extra [ray]")
pytest.importorskip("torch")

from paredown.search.study import read_trials
from paredown.search.trial import Trial
from tests.cluster.conftest import Rig
from tests.commands.test_recovery_study import write_recovering_study
from tests.commands.tiny import write_study

TRIALS = 6
MEASURED = ("latency_ms@cpu",)  # differ from run to run; all the rest must not


def conducted(study: Path, name: str, *arguments: str) -> dict[str, Trial]:
    """Trials by the digest of their configuration. A process of its own: this one is connected to the cluster already."""
    folder = study.parent / name
    command = [sys.executable, "-m", "paredown.cli", "run", str(study), "-o", str(folder), *arguments]
    environment = {
        **os.environ,
        "PAREDOWN_CACHE": str(study.parent / f"cache of {name}"),
        "OMP_NUM_THREADS": "1",
    }  # nothing is known before
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stderr
    trials = read_trials(folder)
    assert len({trial.digest for trial in trials}) == len(trials) == TRIALS
    return {trial.digest: trial for trial in trials}


def hypotheses(cache: Path) -> dict[str, dict[str, Any]]:
    """What was decoded, as the records of the user have it: by key, then by utterance."""
    found: dict[str, dict[str, Any]] = {}
    for path in (cache / "records").glob("*.jsonl"):
        for line in path.read_text().splitlines():
            value = json.loads(line.partition(" ")[2])  # after the checksum
            if all(isinstance(said, list) and len(said) == 4 for said in value.values()):
                found.setdefault(path.stem, {}).update(value)
    assert len(found) == TRIALS - 1  # what the uncompressed model says is not kept
    return found


@pytest.mark.slow
def test_a_study_on_the_cluster_is_the_study_on_this_machine(rig: Rig, tmp_path: Path) -> None:
    study = write_study(tmp_path)
    # Random, without races: what a sampler learns from latencies differs, and latencies also end trials.
    settings = f'trials = {TRIALS}\nsampler = "random"\nracing = false\nrefine = false'
    axis = "[space]\ndecode = { length_bonus = [2.0, 4.0] }"  # by itself a random model says nothing
    study.write_text(study.read_text().replace("trials = 9", settings).replace("[space]", axis))
    local, far = conducted(study, "local"), conducted(study, "far", "--ray", rig.address)
    assert set(local) == set(far)
    for digest, one in local.items():
        other = far[digest]
        assert one.state == other.state == "complete"
        assert one.outcome is not None
        assert other.outcome is not None
        ours, theirs = one.outcome.measurement_of, other.outcome.measurement_of
        assert set(ours) == set(theirs)
        for name in set(ours) - set(MEASURED):
            assert ours[name] == theirs[name]
        assert theirs["latency_ms@cpu"].target == ours["latency_ms@cpu"].target  # here the target is this machine
    assert hypotheses(tmp_path / "cache of far") == hypotheses(tmp_path / "cache of local")
    assert any(ids for said in hypotheses(tmp_path / "cache of far").values() for _, ids, *_ in said.values())


@pytest.mark.slow
def test_candidates_are_trained_on_the_cluster_as_on_this_machine(rig: Rig, tmp_path: Path) -> None:
    study = write_recovering_study(tmp_path, TRIALS)
    study.write_text(study.read_text().replace("[search]", '[search]\nsampler = "random"\nrefine = false'))
    local, far = conducted(study, "local"), conducted(study, "far", "--ray", rig.address)
    assert set(local) & set(far) == {digest for digest, trial in local.items() if len(trial.configuration.trainings) < 2} & set(far)
    trained = {path.name: path / "weights.npz" for path in (tmp_path / "cache of far" / "recoveries").iterdir() if len(path.name) == 64}
    here = tmp_path / "cache of local" / "recoveries"
    both = [name for name in trained if (here / name).is_dir()]
    assert len(both) >= 2
    assert all(trained[name].read_bytes() == (here / name / "weights.npz").read_bytes() for name in both)
    assert not any((tmp_path / "cache of far" / "recoveries").glob("*.run*"))  # nothing was trained on the driving machine
    for digest in set(local) & set(far):
        ours, theirs = local[digest].outcome, far[digest].outcome
        assert ours is not None
        assert theirs is not None
        assert ours.measurement_of["quality"] == theirs.measurement_of["quality"]
