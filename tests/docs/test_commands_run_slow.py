"""Every command of README and docs on the bundled models, smaller where `places.SLOW` says so; and benchmarks at their smallest."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from paredown.cli import main
from tests.docs import places
from tests.docs.commands import ROOT, Command, commands
from tests.docs.scratch import Scratch, split

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BUNDLED = ROOT / "src" / "paredown" / "bundled" / "tatoeba-en-de"
OURS = tuple(each for each in commands() if each.is_ours and each.text not in places.ELSEWHERE | places.NOT_HERE)
SHORTER = (
    ("trials = 30", "trials = 6"),
    ('time = "5.5 min"', 'time = "60 min"'),  # six trials, however busy the machine is
    ("trials = 24", "trials = 4"),
    ("short_steps = 60", "short_steps = 1"),
    ("long_steps = 540", "long_steps = 2"),
)


def write_place(place: Path) -> Path:
    """Studies with fewer trials, and speech that is in none of them: that of *test*, softer."""
    (place / "src").symlink_to(ROOT / "src")
    (place / "studies").mkdir()
    for name in ("quickstart", "recovery"):
        text = (ROOT / "studies" / f"{name}.toml").read_text(encoding="utf-8")
        for whole, part in SHORTER:
            text = text.replace(whole, part)
        (place / "studies" / f"{name}.toml").write_text(text.replace("studies/bundled_model/cache/train", "train"))
    (place / "train").mkdir()
    rows = [json.loads(line) for line in next(BUNDLED.glob("test/*.jsonl")).read_text(encoding="utf-8").splitlines()[:40]]
    for row in rows:
        samples, rate_hz = soundfile.read(BUNDLED / "test" / row["audio"])
        row["audio"] = f"{row['id']}.wav"
        soundfile.write(place / "train" / row["audio"], np.asarray(samples) * 0.9, rate_hz)
    (place / "train" / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (place / "speech.wav").symlink_to(place / "train" / rows[0]["audio"])
    return place


def source(benchmark: str) -> str:
    return (ROOT / "tests" / "benchmarks" / f"bench_{benchmark}.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    place = write_place(tmp_path_factory.mktemp("docs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.chdir(place)
        yield Scratch(place, OURS, places.SLOW, lambda line: main(split(line)))


@pytest.mark.parametrize("command", OURS, ids=lambda command: command.text)
def test_it_runs(command: Command, scratch: Scratch, capsys: pytest.CaptureFixture[str]) -> None:
    assert scratch.execute(command) == 0, capsys.readouterr().err


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", sorted(places.SMALLEST))
def test_a_benchmark_runs_at_its_smallest(name: str) -> None:
    """Whether it runs, not what it finds: bars that are missed are exit code 1."""
    done = python(f"tests.benchmarks.bench_{name}", *places.SMALLEST[name].split())
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", [name for name in sorted(places.BENCHMARKS_WHOLE) if "argparse" in source(name)])
def test_a_whole_benchmark_starts(name: str) -> None:
    done = python(f"tests.benchmarks.bench_{name}", "--help")
    assert done.returncode == 0, done.stderr


def test_the_recipe_scores(tmp_path: Path) -> None:
    told = next(each for each in commands() if "studies.bundled_model.score" in each.text)
    words = re.sub(r"-o \S+", f"-o {tmp_path / 'told.jsonl'}", told.text).split()[2:]
    done = python(*words, "--utterances", "4")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "told.jsonl").read_text(encoding="utf-8").splitlines()) == 4
