"""Records in the terms of a study: by places in its split, on its own scale, and only where all that determines them is the same."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from paredown.data import Split  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.profilers.measurement import Measurement  # noqa: E402
from paredown.space.configuration import Decode  # noqa: E402
from paredown.trials.anchor import BESIDE, PLAIN, may_anchor  # noqa: E402
from paredown.trials.decoding import Hypothesis  # noqa: E402
from paredown.trials.evaluation import Known  # noqa: E402
from paredown.trials.kept import Kept  # noqa: E402
from paredown.trials.records import Records  # noqa: E402
from paredown.trials.workshop import Workshop  # noqa: E402
from tests.commands.tiny import write_model  # noqa: E402
from tests.trials.scripted import MACHINE, REFERENCE_MS, Script, bits_of, evaluator, write_texts  # noqa: E402

LATENCY, ENERGY = "latency_ms@cpu", "energy_mj@cpu"
COST = [(LATENCY, Measurement(20.0, "ms", (19.0, 21.0), detail=(("tokens", 7.0), (BESIDE, PLAIN))))]
SAID = {place: Hypothesis(f"text {place}", (place, 1), False, ((2, 3),)) for place in (1, 4)}


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


def kept(
    workshop: Workshop,
    split: Split,
    folder: Path,
    *names: str,
    energy: str | None = None,
    reference_ms: float | None = None,
    reference_mj: float | None = None,
) -> Kept:
    """`reference_ms`, `reference_mj`: on whose scale the study measures."""
    full = evaluator(workshop, Script(), split, Known(reference_ms, reference_mj))
    return Kept(full, Records(folder), MACHINE, names or (LATENCY,), energy)


def test_hypotheses_come_back_by_place(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    configuration = bits_of(workshop.model, 4)
    one = kept(workshop, split, tmp_path)
    assert one.hypotheses(configuration) == {}
    one.keep(configuration, SAID)
    assert kept(workshop, split, tmp_path).hypotheses(configuration) == SAID
    assert one.hypotheses(bits_of(workshop.model, 6)) == {}
    assert one.hypotheses(replace(configuration, decode=Decode(beam_size=2))) == {}


def test_another_split_shares_what_it_shares(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    """An utterance is what is heard, whatever place it has and whatever it is called."""
    configuration = bits_of(workshop.model, 4)
    kept(workshop, split, tmp_path).keep(configuration, SAID)
    renamed = replace(split.utterances[4], id="another")
    other = Split("other", (renamed, *split.utterances[2:4]))
    assert kept(workshop, other, tmp_path).hypotheses(configuration) == {0: SAID[4]}


def test_costs_come_back_as_they_were(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    configuration = bits_of(workshop.model, 4)
    one = kept(workshop, split, tmp_path)
    assert one.costs(configuration) is None
    one.keep_costs(configuration, COST)
    ((name, figure),) = kept(workshop, split, tmp_path).costs(configuration) or []
    assert (name, figure.value, figure.ci95, figure.detail_of["tokens"]) == (LATENCY, 20.0, (19.0, 21.0), 7.0)
    assert one.costs(bits_of(workshop.model, 6)) is None
    assert may_anchor(COST[0][1], REFERENCE_MS)
    assert not may_anchor(figure, REFERENCE_MS)  # it was timed in another run, and nothing of this one beside it


def test_costs_are_put_on_the_scale_of_the_study(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    """In the other study the uncompressed model was measured to take a quarter more."""
    configuration = bits_of(workshop.model, 4)
    kept(workshop, split, tmp_path).keep_costs(configuration, COST)
    other = kept(workshop, split, tmp_path, reference_ms=1.25 * REFERENCE_MS)
    ((_, figure),) = other.costs(configuration) or []
    assert figure.value == pytest.approx(25.0)
    assert figure.ci95 == pytest.approx((23.75, 26.25))
    other.keep_costs(configuration, [(LATENCY, figure)])
    ((_, again),) = kept(workshop, split, tmp_path).costs(configuration) or []
    assert again.value == pytest.approx(20.0)


def test_a_study_that_wants_more_measures_again(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    configuration = bits_of(workshop.model, 4)
    kept(workshop, split, tmp_path).keep_costs(configuration, COST)
    assert kept(workshop, split, tmp_path, LATENCY, ENERGY).costs(configuration) is None
    assert kept(workshop, split, tmp_path, LATENCY, energy="rapl").costs(configuration) is None


def test_energy_has_a_scale_too(workshop: Workshop, split: Split, tmp_path: Path) -> None:
    configuration, names = bits_of(workshop.model, 4), (LATENCY, ENERGY)
    both = [*COST, (ENERGY, Measurement(50.0, "mJ", (45.0, 55.0), provenance="estimated"))]
    kept(workshop, split, tmp_path, *names, energy="rapl", reference_mj=100.0).keep_costs(configuration, both)
    found = dict(kept(workshop, split, tmp_path, *names, energy="rapl", reference_mj=200.0).costs(configuration) or [])
    assert (found[ENERGY].value, found[ENERGY].ci95, found[ENERGY].provenance) == (100.0, (90.0, 110.0), "estimated")
    assert kept(workshop, split, tmp_path, *names, energy="estimate", reference_mj=200.0).costs(configuration) is None
