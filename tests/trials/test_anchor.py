"""Latency beside a quick bundle: the interval holds both errors, and a study that goes on takes the same anchor again."""

from collections.abc import Iterator
from dataclasses import replace
from math import exp, hypot, log
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from paredown.data import Split  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.profilers.latency import Latency, Timing  # noqa: E402
from paredown.profilers.measurement import Measurement  # noqa: E402
from paredown.search.study import Study  # noqa: E402
from paredown.search.trial import Candidate  # noqa: E402
from paredown.space.configuration import Configuration  # noqa: E402
from paredown.trials.anchor import BESIDE, PLAIN, QUICK, Anchor, may_anchor  # noqa: E402
from paredown.trials.evaluation import uncompressed  # noqa: E402
from paredown.trials.study_run import known_costs  # noqa: E402
from paredown.trials.workshop import Workshop  # noqa: E402
from tests.commands.tiny import write_model  # noqa: E402
from tests.search import toy  # noqa: E402
from tests.trials.scripted import REFERENCE_MS, Script, bits_of, evaluator, write_texts  # noqa: E402

LATENCY = "latency_ms@cpu"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return write_texts(tmp_path_factory.mktemp("split"), 6)


@pytest.fixture
def workshop(model: Model) -> Iterator[Workshop]:
    with Workshop(model) as opened:
        yield opened


def test_the_interval_holds_both_errors() -> None:
    """An anchor of 40 ms within 3 and 5 %, a candidate at 1.5 times that within 4 and 12 %: 5 % down and 13 % up, in logarithm."""
    anchor = Anchor(Configuration(), Path("anchor"), 40.0, (40.0 * exp(-0.03), 40.0 * exp(0.05)))
    timing = Timing(70.0, None, (69.0, 71.0), 1.5, (1.5 * exp(-0.04), 1.5 * exp(0.12)), 24, 7.0)
    found = anchor.place(Latency(timing, timing))
    assert found.value == pytest.approx(60.0)
    assert found.ci95 == pytest.approx((60.0 * exp(-hypot(0.03, 0.04)), 60.0 * exp(hypot(0.05, 0.12))))
    assert log(found.ci95[1] / found.value) == pytest.approx(0.13)  # type: ignore[index]
    assert found.detail_of["clock_median"] == 70.0
    assert found.detail_of[BESIDE] == Configuration().digest[:12]


def test_only_what_is_quick_and_timed_beside_the_uncompressed_model_may_be_one() -> None:
    quick = Measurement(QUICK * 100.0 - 1.0, "ms", (60.0, 75.0), detail=((BESIDE, PLAIN),))
    assert may_anchor(quick, 100.0)
    assert not may_anchor(replace(quick, value=QUICK * 100.0), 100.0)
    assert not may_anchor(replace(quick, ci95=None), 100.0)
    assert not may_anchor(replace(quick, detail=((BESIDE, "abc"),)), 100.0)
    assert not may_anchor(replace(quick, detail=()), 100.0)


def test_the_first_quick_bundle_becomes_the_anchor(workshop: Workshop, split: Split) -> None:
    script = Script()
    full = evaluator(workshop, script, split)
    slow, quick, other = (script.set(bits_of(workshop.model, bits), 0.1, ratio) for bits, ratio in ((8, 0.9), (6, 0.5), (4, 0.25)))
    figures = [dict(full(each, number).measurements)[LATENCY] for number, each in enumerate((slow, quick, other, quick), 1)]
    assert [figure.detail_of[BESIDE] for figure in figures] == [PLAIN, PLAIN, quick.digest[:12], PLAIN]
    assert [figure.value for figure in figures] == pytest.approx([ratio * REFERENCE_MS for ratio in (0.9, 0.5, 0.25, 0.5)])
    assert (workshop.folder / quick.digest[:16]).exists()
    assert not (workshop.folder / other.digest[:16]).exists()
    # One percent of each of the two ratios.
    assert figures[2].ci95 is not None
    assert log(figures[2].ci95[1] / figures[2].value) == pytest.approx(hypot(log(1.01), log(1.01)))


def test_a_study_that_goes_on_takes_the_same_anchor(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    script, model = Script(), workshop.model
    plain, slow, quick, later = uncompressed(model), *(bits_of(model, bits) for bits in (8, 6, 4))
    for one, ratio in ((slow, 0.9), (quick, 0.5), (later, 0.4)):
        script.set(one, 0.1, ratio)
    full, spec = evaluator(workshop, script, split), toy.toy_spec()
    assert known_costs(tmp_path, plain).latency_ms is None
    with Study.open(tmp_path, spec, toy.make_space(), spec.objective_list, (), toy.IDENTITY) as study:
        for number, each in enumerate((plain, slow, quick)):
            outcome = full(each, number)
            running = study.storage.begin(Candidate("given", each), study.space.knobs)
            study.storage.complete(running, outcome, [outcome.value(one.name) for one in spec.objective_list], {}, 1.0)
    known = known_costs(tmp_path, plain)
    assert known.latency_ms == REFERENCE_MS
    assert known.anchor is not None
    assert known.anchor[0] == quick
    resumed = evaluator(workshop, script, split, known)
    figure = dict(resumed(later, 3).measurements)[LATENCY]
    assert figure.detail_of[BESIDE] == quick.digest[:12]
    assert figure.value == pytest.approx(0.4 * REFERENCE_MS)
    assert figure.ci95 == pytest.approx(dict(full(later, 3).measurements)[LATENCY].ci95)
    slower = script.set(bits_of(model, 3), 0.1, 0.3)
    assert dict(resumed(slower, 4).measurements)[LATENCY].detail_of[BESIDE] == quick.digest[:12]
