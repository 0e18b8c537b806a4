"""What is foretold of a study: sizes against built bundles, points by counting, and that nothing is written; the bundled model in time."""

import json
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from paredown.data import load_split  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import load_model  # noqa: E402
from paredown.profilers.size import measure_size  # noqa: E402
from paredown.search.study_file import parse_spec, read_spec  # noqa: E402
from paredown.space.knobs import ChoiceKnob, FloatKnob, IntKnob  # noqa: E402
from paredown.trials.decoding import Decoder  # noqa: E402
from paredown.trials.dry_run import DryRun, Part, count_points, foretell_study  # noqa: E402
from paredown.trials.evaluation import uncompressed  # noqa: E402
from paredown.trials.findings import find  # noqa: E402
from paredown.trials.space import make_space  # noqa: E402
from paredown.trials.workshop import Workshop  # noqa: E402
from tests.commands.tiny import write_study  # noqa: E402
from tests.trials.telling import Quiet  # noqa: E402

BUNDLED = """
name = "bundled"
[model]
path = "bundled:tatoeba-en-de"
[space]
bits = { average = [3.0, 8.0] }
layers = { decoder = [3, 6] }
decode = { beam_size = [1, 10] }
[budgets]
size = "12 MB"
[search]
time = "5 min"
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))


def analyse_it(study: Path) -> int:
    """Makes the analyses; bytes of the smallest bundle, built."""
    spec = read_spec(study)
    model, split = load_model(spec.model.path), load_split(str(spec.data.analysis))
    with Workshop(model) as workshop, Decoder(1) as decoder:
        findings = find(spec.space, model, split, workshop, decoder, Quiet())
        space = make_space(spec.space, model, findings, workshop.count_survivors)
        return int(measure_size(workshop.build(space.smallest())).to_measurement().value)


@pytest.mark.slow
def test_sizes_are_those_of_built_bundles_once_the_analyses_are_there(tmp_path: Path) -> None:
    study = write_study(tmp_path, size="1 GB", quality="-1")
    guessed = foretell_study(read_spec(study), tmp_path / "runs", Quiet())
    assert not guessed.exact
    assert [part.name for part in guessed.missing] == ["bits", "layers"]
    assert all(part.seconds is not None and part.seconds > 0 for part in guessed.missing)
    built = analyse_it(study)
    known = foretell_study(read_spec(study), tmp_path / "runs", Quiet())
    assert (known.exact, known.smallest_bytes, known.missing, known.analysis_s) == (True, built, (), 0.0)
    assert guessed.smallest_bytes == pytest.approx(built, rel=0.05)  # other layers at 2 and 3 bits: their scales are paid by row
    model = load_model(tmp_path / "model")
    with Workshop(model) as workshop:
        assert known.uncompressed_bytes == measure_size(workshop.build(uncompressed(model))).to_measurement().value
    assert not (tmp_path / "runs").exists()
    assert [word for _, word in known.budgets] == ["can be met", "not known before it is searched"]
    assert json.loads(json.dumps(known.to_dict()))["points"] == known.points


@pytest.mark.slow
def test_an_impossible_budget_is_refused_as_in_a_run(tmp_path: Path) -> None:
    study = write_study(tmp_path, size="1 kB")
    analyse_it(study)
    with pytest.raises(BadInput, match=r"size <= .* cannot be reached: with every axis at its lowest the bundle has"):
        foretell_study(read_spec(study), tmp_path / "runs", Quiet())
    (tmp_path / "latency").mkdir()
    slow = write_study(tmp_path / "latency", **{'"latency@cpu"': "1 us"})
    with pytest.raises(BadInput, match=r"latency@cpu <= .* cannot be reached"):
        foretell_study(read_spec(slow), tmp_path / "runs", Quiet())
    assert not (tmp_path / "runs").exists()


def test_without_analyses_a_size_out_of_reach_is_said_and_not_refused(tmp_path: Path) -> None:
    found = foretell_study(read_spec(write_study(tmp_path, size="1 kB")), tmp_path / "runs", Quiet())
    assert [word for _, word in found.budgets] == ["probably out of reach"]
    assert "stand-ins" in found.lines()[0]


def test_points_are_counted_where_they_can_be() -> None:
    assert count_points([IntKnob("a", 2, 6), ChoiceKnob("b", (160, 200, 250)), FloatKnob("c", 0.0, 0.9, 0.05)]) == 5 * 3 * 19
    assert count_points([FloatKnob("c", 0.0, 0.9)]) is None
    assert count_points([FloatKnob("c", 0.5, 0.5), IntKnob("a", 1, 2)]) == 2


def made(**changes: object) -> DryRun:
    settings = {"exact": True, "budgets": (), "knobs": 2, "points": 95, "missing": (Part("bits", 20.0), Part("heads", None))}
    settings |= {"first_s": 10.0, "trial_s": 10.0, "raced_s": 2.0, "sampled": 24, "trials": 60, "time_s": 330.0} | changes
    return DryRun("a", 100_000_000, 10_000_000, **settings)  # type: ignore[arg-type]


def test_the_whole_is_between_all_raced_out_and_none() -> None:
    found = made()
    assert found.analysis_s == 20.0
    assert found.total_s == (30.0 + 120.0, 30.0 + 600.0)
    assert found.fitting == (30, 60)
    told = "\n".join(found.lines())
    assert "bits about 20 s" in told
    assert "heads at a cost that is not known" in told
    assert "about 30 to 60 of 60 trials" in told
    assert made(time_s=None).fitting is None
    assert made(time_s=5.0).fitting == (0, 0)
    assert "within 1 h 00 min: all 60 trials" in made(time_s=3600.0).lines()


def test_a_study_that_is_driven_is_left_alone(tmp_path: Path) -> None:
    from paredown.search.lock import StudyLock

    folder = tmp_path / "runs"
    folder.mkdir()
    lock = StudyLock(folder)
    with pytest.raises(BadInput, match="one process drives a study at a time"):
        foretell_study(parse_spec(BUNDLED), folder, Quiet())
    lock.release()


@pytest.mark.slow
def test_the_bundled_model_is_told_in_half_a_minute(tmp_path: Path) -> None:
    began = time.monotonic()
    found = foretell_study(parse_spec(BUNDLED), tmp_path / "runs", Quiet())
    print("\n".join(found.lines()), f"\n{time.monotonic() - began:.1f} s")
    assert not found.exact
    assert 1e6 < found.smallest_bytes < found.uncompressed_bytes
    assert found.fitting is not None
    assert not (tmp_path / "runs").exists()
