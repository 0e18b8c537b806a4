"""The latency predictor: what its terms count, what it refuses, how it is kept; and from end to end on a tiny model."""

import functools
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.errors import BadInput  # noqa: E402
from paredown.profilers.prediction.model import CostModel  # noqa: E402
from paredown.space.configuration import Configuration, Decode, Kernel, Scheme  # noqa: E402
from paredown.space.macs import Units, Workload, macs  # noqa: E402
from paredown.space.operations import Operation, Structure  # noqa: E402
from paredown.trials.operations import operations_of, read_structure  # noqa: E402
from paredown.trials.predicting import cache, stage_times  # noqa: E402
from paredown.trials.predicting.cache import load_predictor, plan_for, predictor_key, profile_target  # noqa: E402
from paredown.trials.predicting.latency_terms import Terms, expected_steps, list_terms  # noqa: E402
from paredown.trials.predicting.predictor import LatencyPredictor, Utterance  # noqa: E402
from paredown.trials.predicting.probe_plan import ModelSize  # noqa: E402
from paredown.trials.predicting.probes import Shape, configuration_of, make_random, write_random  # noqa: E402
from paredown.trials.predicting.stage_times import STAGES, Run, StageTimes  # noqa: E402
from tests.bundle.models import make_model, shared_model  # noqa: E402

TARGET, OTHER = "a" * 64, "b" * 64
UTTERANCE = Utterance(frames=120, tokens=10, beam=4)


def parts(shape: Shape | None = None, **settings: Any) -> tuple[tuple[Operation, ...], Structure]:
    """Operations and structure of the tiny model, or of one like it in another shape."""
    model = shared_model() if shape is None else make_random(shared_model(), shape, 0)
    configuration = Configuration(**settings) if shape is None or settings else configuration_of(model, shape)
    structure = read_structure(model)
    return operations_of(model.inventory(), configuration, structure), structure


def terms_of(utterance: Utterance, shape: Shape | None = None, **settings: Any) -> Terms:
    return list_terms(*parts(shape, **settings), utterance.frames, utterance.tokens, utterance.beam)


@functools.cache
def synthetic(kernel: Kernel = "fp32") -> tuple[LatencyPredictor, dict[str, dict[str, float]]]:
    """A predictor fitted to runs that cost exactly what costs say; every term has one of its own."""
    shapes = [Shape(kernel, blocks, other, units) for blocks in (1, 2, 4) for other in (1, 3) for units in (8, 40)]
    utterances = [Utterance(frames, tokens, beam) for frames in (60, 220, 300, 450) for tokens, beam in ((5, 1), (12, 3), (20, 7))]
    runs = [(shape.name, terms_of(utterance, shape)) for shape in shapes for utterance in utterances]
    rng = np.random.default_rng(0)
    names = {stage: sorted({term for _, terms in runs for term in terms[stage]}) for stage in STAGES}
    most = {stage: {term: max(terms[stage].get(term, 0.0) for _, terms in runs) for term in names[stage]} for stage in STAGES}
    costs = {stage: {term: float(rng.uniform(0.5, 2.0)) / most[stage][term] for term in names[stage]} for stage in STAGES}
    times = np.array([[sum(costs[stage][term] * amount for term, amount in terms[stage].items()) for stage in STAGES] for _, terms in runs])
    fitted = LatencyPredictor.fit([terms for _, terms in runs], times, [name for name, _ in runs], TARGET, 1, 12.5)
    return fitted, costs


def test_a_fit_predicts_what_known_costs_add_up_to() -> None:
    fitted, costs = synthetic()
    shape, utterance = Shape("fp32", 3, 2, 24), Utterance(150, 15, 5)
    terms = terms_of(utterance, shape)
    expected = sum(costs[stage][term] * amount for stage in STAGES for term, amount in terms[stage].items())
    # Terms that always grow alike share their costs in any way, which leaves what the fit cannot see of this run.
    assert fitted.predict_ms(*parts(shape), utterance) == pytest.approx(expected, rel=0.02)
    assert fitted.error < 0.05


def test_a_prediction_is_the_median_and_says_that_it_is_an_estimate() -> None:
    fitted, _ = synthetic()
    utterances = [Utterance(frames, 10, 4) for frames in (80, 120, 190)]
    found = fitted.predict(*parts(), utterances, TARGET)
    assert (found.unit, found.provenance, found.samples) == ("ms", "estimated", fitted.runs)
    assert found.value == pytest.approx(fitted.predict_ms(*parts(), utterances[1]))
    assert found.ci95 == pytest.approx((found.value * (1 - fitted.error), found.value * (1 + fitted.error)))
    assert (found.detail_of["extrapolated"], found.detail_of["fingerprint"]) == ("", TARGET)


def test_another_target_is_refused() -> None:
    with pytest.raises(BadInput, match="serves the target that it was made on, aaaaaaaaaaaa, got bbbbbbbbbbbb: profile again"):
        synthetic()[0].predict(*parts(), [UTTERANCE], OTHER)


def test_what_was_not_profiled_is_refused_and_what_lies_beyond_is_flagged() -> None:
    fitted, _ = synthetic()
    bits = tuple((layer.path, 8) for layer in shared_model().inventory().layers)
    with pytest.raises(ValueError, match=r"of what was profiled, .*; got .*int8 calls"):
        fitted.predict(*parts(bits=bits, scheme=Scheme(kernel="int8")), [UTTERANCE], TARGET)
    far = fitted.predict(*parts(), [Utterance(900, 10, 4)], TARGET)
    assert "encoder: attention macs" in str(far.detail_of["extrapolated"])
    with pytest.raises(ValueError, match="one utterance or more"):
        fitted.predict(*parts(), [], TARGET)


@pytest.mark.parametrize(
    "larger", [{"encoder_blocks": 3}, {"decoder_blocks": 4}, {"encoder_units": 25}, {"decoder_units": 48}, {"width": 24}]
)
def test_predictions_grow_with_layers_and_widths(larger: dict[str, int]) -> None:
    fitted, _ = synthetic()
    base = fitted.predict_ms(*parts(Shape("fp32")), UTTERANCE)
    assert fitted.predict_ms(*parts(Shape("fp32", **larger)), UTTERANCE) > base


def test_predictions_grow_with_beam_tokens_and_frames() -> None:
    fitted, _ = synthetic()
    operations, structure = parts()
    for name, values in (("beam", range(1, 21)), ("tokens", range(1, 41)), ("frames", range(11, 400, 7))):
        found = [fitted.predict_ms(operations, structure, Utterance(**(vars(UTTERANCE) | {name: value}))) for value in values]
        assert found == sorted(found)
        assert found[0] < found[-1]


def test_a_dropped_block_is_predicted_faster() -> None:
    fitted, _ = synthetic()
    whole = fitted.predict_ms(*parts(), UTTERANCE)
    for keep in ((("encoder", (0,)),), (("decoder", (0, 1)),)):
        assert fitted.predict_ms(*parts(keep=keep), UTTERANCE) < whole


def test_terms_add_up_to_the_operations() -> None:
    operations, structure = parts()
    terms = list_terms(operations, structure, 120, 10, 4)
    counted = sum(amount for stage in terms.values() for term, amount in stage.items() if term.endswith("macs"))
    assert counted == macs(operations, structure, Workload(120, expected_steps(10, 4)))
    units = Units.of(operations, structure, Workload(120, expected_steps(10, 4)))
    assert terms["search"]["steps"] == units.steps == 10
    assert terms["search"]["hypotheses"] == 37  # one, and nine times four
    assert terms["search"]["fp32 weights"] == 10 * sum(found.weights for found in operations if found.is_step and found.kind == "product")
    assert terms["features"] == {"utterance": 1.0, "frames": 120.0}


def test_joint_decoding_is_refused_where_no_ctc_was_profiled() -> None:
    fitted, _ = synthetic()
    operations, structure = parts(decode=Decode(ctc_weight=0.3))
    ctc = Operation("st_ctc.ctc_lo", "ctc", "product", "state", 128, 16, 8, 128)
    with pytest.raises(ValueError, match="got CTC calls"):
        fitted.predict_ms((*operations, ctc), structure, UTTERANCE)


def test_the_expected_pool_is_what_searches_had() -> None:
    """Nodes before steps 20 to 39 of the bundled model, in the mean: 36 at beam 2, 44 at beam 5, 62 at beam 10."""
    for beam, seen in ((2, 36), (5, 44), (10, 62)):
        pools = [step.nodes for step in expected_steps(40, beam)]
        assert np.mean(pools[20:]) == pytest.approx(seen, rel=0.1)  # half a sweep's nodes
        assert pools == sorted(pools)
        assert pools[:3] == [step.nodes for step in Workload.fixed(1, 3, beam).steps]


def test_a_predictor_reads_back_as_it_was() -> None:
    fitted, _ = synthetic()
    assert LatencyPredictor.from_json(fitted.to_json()) == fitted
    assert LatencyPredictor.from_json(fitted.to_json()).to_json() == fitted.to_json()
    for text in ("", "[]", "{}", fitted.to_json().replace("features", "feature")):
        with pytest.raises(ValueError, match="a latency predictor must be JSON"):
            LatencyPredictor.from_json(text)


def test_impossible_predictors_are_refused() -> None:
    costs = CostModel(("frames",), (1.0,), (1.0,))
    with pytest.raises(ValueError, match="has the stages features, encoder, search"):
        LatencyPredictor(TARGET, 1, (("features", costs),), 0.1, 1.0, 1)
    with pytest.raises(ValueError, match="reference_ms above 0"):
        LatencyPredictor(TARGET, 1, tuple((stage, costs) for stage in STAGES), 0.1, 0.0, 1)


def test_times_are_taken_at_the_references_speed() -> None:
    ms = np.array([[[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 1.5, 3.0], [9.0, 9.0, 9.0]]])
    timed = StageTimes(ms, np.array([[10.0, 20.0, 10.0, 90.0]]))
    assert timed.typical_reference_ms == 15.0
    # Of the half with the fastest reference, at its 20 ms: twice the totals 6 and 5.5.
    assert timed.at_speed_of(20.0).tolist() == [[12.0, 11.0]]
    # The shortest of each stage, times the median over the least that the reference took.
    assert timed.least().tolist() == [[1.5, 2.25, 4.5]]


def test_probes_vary_what_a_model_is_made_of() -> None:
    model = shared_model()
    assert ModelSize.of(model.inventory()) == ModelSize(2, 3, 24, 24, 16)
    plan = plan_for(model, ("fp32", "int8"))
    assert max(run.samples for run in plan.runs) / model.frontend.hop_samples > 400  # or rises would never be profiled
    assert len(plan.shapes) == len({name for name, _ in plan.shapes}) == 19
    assert {run.beam for run in plan.runs} <= set(range(1, len(model.tokens)))
    assert {run.bundle for run in plan.runs} == {name for name, _ in plan.shapes}
    for name in ("encoder_blocks", "decoder_blocks", "encoder_units", "decoder_units", "width"):
        assert len({getattr(shape, name) for _, shape in plan.shapes if shape != Shape()}) >= 2


def test_blocks_without_a_feed_forward_are_probed_by_what_they_have() -> None:
    model = make_model("e_branchformer", cgmlp_linear_units=32, cgmlp_conv_kernel=5)
    assert ModelSize.of(model.inventory()) == ModelSize(2, 3, None, 24, 16)
    plan = plan_for(model, ("fp32",))
    assert {shape.encoder_units for _, shape in plan.shapes} == {None}
    assert len({shape.decoder_units for _, shape in plan.shapes if shape.decoder_units}) == 3
    name, shape = plan.shapes[-1]
    assert name == shape.name
    assert dict(make_random(model, shape, 0).inventory().blocks)["encoder"] == shape.encoder_blocks


def test_latency_of_features_may_rise_with_their_length() -> None:
    beyond = {frames: terms_of(Utterance(frames, 5, 2))["features"] for frames in (200, 250, 500)}
    assert beyond[200] == {"utterance": 1.0, "frames": 200.0}
    assert beyond[250] == {"utterance": 1.0, "frames": 250.0, "frames beyond 200": 50.0}
    assert beyond[500] == {"utterance": 1.0, "frames": 500.0, "frames beyond 200": 300.0, "frames beyond 400": 100.0}


def test_a_random_model_has_the_shape_that_was_asked_for(tmp_path: Path) -> None:
    shape = Shape("int8", 3, 1, 40, 8, 24, 250)
    made = make_random(shared_model(), shape, 7)
    assert ModelSize.of(made.inventory()) == ModelSize(3, 1, 40, 8, 24)
    assert made.frontend.hop_samples == 250
    again, other = (make_random(shared_model(), shape, seed).network.state_dict() for seed in (7, 8))
    name = "encoder.encoders.2.feed_forward.w_1.weight"
    assert torch.equal(again[name], made.network.state_dict()[name])
    assert not torch.equal(other[name], again[name])
    bundle = write_random(shared_model(), shape, 7, tmp_path)
    assert bundle == tmp_path / "int8-3-40-1-8-24-250"
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        Shape(width=0)
    with pytest.raises(ValueError, match="beam must be at least 1, got 0"):
        Run("bundle", 16_000, 10, 0)


def test_from_probes_to_the_cache_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def quickly(*arguments: Any, **settings: Any) -> LatencyPredictor:
        return profile_target(*arguments, **settings, repeats=2)

    monkeypatch.setattr(cache, "profile_target", quickly)
    monkeypatch.setattr(stage_times, "machine_lock", nullcontext)  # no time is looked at here, so nobody need be waited for
    made = load_predictor(shared_model(), ("fp32",), TARGET, folder=tmp_path, progress=said.append)
    assert said == ["latency predictor: 10 probes", "latency predictor: 50 runs, 2 times"]
    assert (made.runs, made.fingerprint, made.threads) == (50, TARGET, 1)
    assert made.predict(*parts(), [UTTERANCE], TARGET).value > 0
    monkeypatch.setattr(cache, "profile_target", None)  # whoever measures again fails
    assert load_predictor(shared_model(), ("fp32",), TARGET, folder=tmp_path) == made
    (file,) = (tmp_path / "latency").iterdir()
    assert file.stem == predictor_key(shared_model(), ("fp32",), TARGET, 1)


def test_a_damaged_file_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted, _ = synthetic()
    monkeypatch.setattr(cache, "profile_target", lambda *_, **__: fitted)
    file = tmp_path / "latency" / f"{predictor_key(shared_model(), ('fp32',), TARGET, 1)}.json"
    file.parent.mkdir()
    for damaged in ("{", fitted.to_json().replace(TARGET, OTHER)):
        file.write_text(damaged)
        assert load_predictor(shared_model(), ("fp32",), TARGET, folder=tmp_path) == fitted
        assert file.read_text() == fitted.to_json()
    assert [found.name for found in file.parent.iterdir()] == [file.name]


def test_a_cache_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(cache, "profile_target", None)
    with pytest.raises(BadInput, match="the cache folder must be writable"):
        load_predictor(shared_model(), ("fp32",), TARGET, folder=tmp_path / "file")


def test_keys_differ_where_costs_do() -> None:
    model = shared_model()
    base = predictor_key(model, ("fp32", "int8"), TARGET, 1)
    assert predictor_key(model, ("int8", "fp32"), TARGET, 1) == base
    others = [
        predictor_key(model, ("fp32",), TARGET, 1),
        predictor_key(model, ("fp32", "int8"), OTHER, 1),
        predictor_key(model, ("fp32", "int8"), TARGET, 2),
        predictor_key(make_model(num_blocks=3), ("fp32", "int8"), TARGET, 1),
    ]
    assert len({base, *others}) == 5
    assert predictor_key(make_random(model, Shape(hop_samples=300), 1), ("fp32", "int8"), TARGET, 1) == base  # frames are counted anyway
