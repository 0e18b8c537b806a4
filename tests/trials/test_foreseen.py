"""What is told of a configuration before it is built is what its bundle then has."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from paredown.models import Model, load_model  # noqa: E402
from paredown.profilers.measurement import Measurement  # noqa: E402
from paredown.space.configuration import Configuration, Decode, Input  # noqa: E402
from paredown.trials.evaluation import Evaluator, uncompressed  # noqa: E402
from paredown.trials.fitted_latency import LEAST  # noqa: E402
from paredown.trials.foreseen import LATENCY, Foreseen  # noqa: E402
from paredown.trials.workshop import Workshop  # noqa: E402
from tests.commands.tiny import write_model  # noqa: E402
from tests.trials.scripted import REFERENCE_MS, Script, bits_of, evaluator, write_texts  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def full(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluator]:
    split = write_texts(tmp_path_factory.mktemp("split"), 6)
    with Workshop(model) as workshop:
        yield evaluator(workshop, Script(), split)


def shallow(model: Model) -> Configuration:
    """Two of four decoder blocks."""
    left = (0, 3)
    bits = tuple((path, 4) for path, _ in bits_of(model, 4).bits if not path.startswith(("decoder.decoders.1.", "decoder.decoders.2.")))
    return replace(bits_of(model, 4), keep=(("decoder", left),), bits=bits)


def variants(model: Model) -> dict[str, Configuration]:
    return {
        "uncompressed": uncompressed(model),
        "8 bits": bits_of(model, 8),
        "3 bits": bits_of(model, 3),
        "hop": replace(bits_of(model, 4), input=Input(hop_samples=200)),
        "beam": replace(bits_of(model, 4), decode=Decode(beam_size=2)),
        "blocks": shallow(model),
        "all": replace(shallow(model), input=Input(hop_samples=200), decode=Decode(beam_size=1)),
    }


@pytest.mark.parametrize("name", ["uncompressed", "8 bits", "3 bits", "hop", "beam", "blocks", "all"])
def test_exact_costs_are_those_of_the_bundle(full: Evaluator, model: Model, name: str) -> None:
    configuration = variants(model)[name]
    foreseen = [(name, figure.value, figure.unit, figure.provenance) for name, figure in Foreseen(full).figures(configuration)]
    with full.built(configuration) as bundle:
        assert foreseen == [(name, figure.value, figure.unit, figure.provenance) for name, figure in full.work(bundle, configuration)]


def test_nothing_is_built(full: Evaluator, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    _ = full.reference

    def build(configuration: Configuration) -> Path:
        raise AssertionError("nothing is to be built")

    monkeypatch.setattr(full.workshop, "build", build)
    assert "macs" in dict(Foreseen(full).figures(shallow(model)))


class PerToken:
    """A predictor that tells 2 ms for a token of every hypothesis, within a tenth. It knows no beam of 1."""

    fingerprint = "a target"

    def predict(self, operations: Any, structure: Any, utterances: Sequence[Any], fingerprint: str) -> Measurement:
        if utterances[0].beam == 1:
            raise ValueError("was not profiled")
        value = 2.0 * sum(one.tokens * one.beam for one in utterances)
        return Measurement(value, "ms", (0.9 * value, 1.1 * value), provenance="estimated")


def test_a_prediction_is_put_on_the_scale_of_the_study(full: Evaluator, model: Model) -> None:
    predictor: Any = PerToken()
    foreseen = Foreseen(full, predictor)
    half = replace(bits_of(model, 4), decode=Decode(beam_size=uncompressed(model).decode.beam_size // 2))
    figure = dict(foreseen.figures(half))[LATENCY]
    assert figure.value == pytest.approx(0.5 * REFERENCE_MS)
    assert figure.ci95 == pytest.approx((0.45 * REFERENCE_MS, 0.55 * REFERENCE_MS))
    assert figure.provenance == "estimated"
    assert LATENCY not in dict(foreseen.figures(replace(half, decode=Decode(beam_size=1))))


def test_without_a_predictor_latency_is_learned(full: Evaluator, model: Model) -> None:
    """Configurations whose latency is proportional to their hypotheses: bits that were not seen have the latency of their structure."""
    foreseen = Foreseen(full)
    beams = range(1, LEAST + 2)
    for beam in beams:
        configuration = replace(bits_of(model, 8), decode=Decode(beam_size=beam))
        assert (LATENCY in dict(foreseen.figures(configuration))) == (beam > LEAST)
        foreseen.learn(configuration, 10.0 * beam)
    for beam in beams:
        figure = dict(foreseen.figures(replace(bits_of(model, 3), decode=Decode(beam_size=beam))))[LATENCY]
        # The first step of a search has one hypothesis whatever the beam, so work is not quite proportional to it.
        assert figure.value == pytest.approx(10.0 * beam, rel=0.1)
        assert figure.detail_of["fitted"]
        assert figure.provenance == "estimated"


def test_the_uncompressed_model_teaches_nothing_of_other_kernels(full: Evaluator, model: Model) -> None:
    foreseen = Foreseen(full)
    for beam in range(1, LEAST):
        foreseen.learn(replace(bits_of(model, 8), decode=Decode(beam_size=beam)), 10.0 * beam)
    foreseen.learn(uncompressed(model), 1000.0)
    assert LATENCY not in dict(foreseen.figures(bits_of(model, 8)))
    assert LATENCY not in dict(foreseen.figures(uncompressed(model)))
