"""Bundles with static activations: the gate over every structure, bytes that are foretold, and ranges that are missing or wrong."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import paredown.bundle.parity.gate as parity  # noqa: E402
from paredown.bundle.forecast import Forecast  # noqa: E402
from paredown.bundle.outliers import measure_rounding  # noqa: E402
from paredown.bundle.parity.gate import ParityError, check_parity  # noqa: E402
from paredown.bundle.self_contained import write_self_contained  # noqa: E402
from paredown.bundle.storage import BundleParts, assemble  # noqa: E402
from paredown.bundle.write import render, write_bundle  # noqa: E402
from paredown.compress.calibrate import calibrate  # noqa: E402
from paredown.compress.calibration import Calibration  # noqa: E402
from paredown.compress.compress import CalibratedOn, CompressedModel  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.runtime.seal import seal  # noqa: E402
from paredown.runtime.translator import Translator  # noqa: E402
from paredown.space.configuration import Configuration, Scheme  # noqa: E402
from paredown.space.operations import count_parameters  # noqa: E402
from tests.bundle.configurations import draw_structured  # noqa: E402
from tests.bundle.models import make_model, shared_model  # noqa: E402
from tests.bundle.optimized import operators, optimized_graphs  # noqa: E402
from tests.bundle.parity.test_gate import STRUCTURES, waveforms  # noqa: E402
from tests.bundle.test_outliers import utterances  # noqa: E402
from tests.models.checkpoints import asr_config, write_checkpoint  # noqa: E402

FEED_FORWARD, ATTENTION = "encoder.encoders.0.feed_forward", "decoder.decoders.1.self_attn"
W1, LINEAR_OUT = f"{FEED_FORWARD}.w_1", f"{ATTENTION}.linear_out"


@cache
def model_of(structure: str) -> Model:
    if structure == "CTC":
        return load_model(write_checkpoint(Path(mkdtemp()), asr_config()))
    encoder, conf = STRUCTURES[structure]
    decoder = {"normalize_before": conf.get("normalize_before", True), "concat_after": conf.get("concat_after", False)}
    return make_model(encoder, decoder, **conf)


@cache
def heard_by(model: Model) -> Calibration:
    return calibrate(model.network, utterances(model), model.sos, "5" * 64)


def static(model: Model, bits: int = 8, without: tuple[str, ...] = (), method: Any = "rtn", **changes: Any) -> Configuration:
    paths = [layer.path for layer in model.inventory().layers if layer.path not in without]
    kept = [path for path in paths if not ("keep" in changes and path.startswith("decoder.decoders.1."))]
    return Configuration(bits=tuple((path, bits) for path in kept), scheme=Scheme(activations="static", method=method), **changes)


def compressed(model: Model, configuration: Configuration) -> CompressedModel:
    return compress_model(model, configuration, calibration=heard_by(model))


@pytest.mark.parametrize("structure", [*sorted(STRUCTURES), "CTC"])
def test_every_structure_rounds_by_its_ranges(structure: str) -> None:
    model = model_of(structure)
    report = check_parity(model, compressed(model, static(model)), waveforms(14 * 160, 40_000))
    assert report.followed is not None
    # As with dynamic activations; numbers outside of their range are there (noise of another kind was heard).
    assert report.followed.max_input < 0.1
    assert report.followed.max_product < 0.7
    dynamic = check_parity(model, compress_model(model, replace(static(model), scheme=Scheme())), waveforms(14 * 160))
    assert dynamic.followed is not None
    assert report.followed.layers == dynamic.followed.layers


VARIANTS: dict[str, Callable[[Model], Configuration]] = {
    "plain": static,
    "four bits": lambda model: static(model, 4),
    "calibrated codes": lambda model: static(model, 3, method="gptq"),
    "sparse": lambda model: static(model, 4, sparsity=(("encoder.feed_forward", 0.7), ("decoder.self_attn", 0.5))),
    "exceptions": lambda model: static(model, kernels=((W1, "fp32"), (f"{ATTENTION}.linear_k", "fp32"))),
    "half exceptions": lambda model: static(model, kernels=((W1, "fp16"), (LINEAR_OUT, "fp16"))),
    "some layers": lambda model: static(model, without=(W1, "encoder.embed.conv.2", f"{ATTENTION}.linear_q")),
    "all in fp32": lambda model: static(model, kernels=tuple((layer.path, "fp32") for layer in model.inventory().layers)),
    "a dropped block": lambda model: static(model, keep=(("decoder", (0, 2)),)),
    "narrow": lambda model: static(model, width=((FEED_FORWARD, 7),), heads=((ATTENTION, (1,)),)),
    "factors": lambda model: static(model, 5, rank=((W1, 3), (f"{FEED_FORWARD}.w_2", 4)), width=((FEED_FORWARD, 7),)),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_passes_the_gate_and_has_the_bytes_foretold_twice(variant: str) -> None:
    model = shared_model()
    configuration = VARIANTS[variant](model)
    made = compressed(model, configuration)
    check_parity(model, made, waveforms(20_000))
    files = render(model, made)
    foretold = Forecast(model).foretell(configuration, CalibratedOn("5" * 64, heard_by(model).utterances))
    assert dict(foretold.files) == {name: len(data) for name, data in files.items()}
    assert render(model, compressed(model, configuration)) == files
    manifest = json.loads(files["manifest.json"])
    assert manifest["configuration"]["scheme"]["activations"] == "static"
    assert manifest["calibration"]["digest"] == "5" * 64
    assert manifest["parameters"]["stored"] == foretold.stored_parameters == count_parameters(model.inventory(), configuration)


@pytest.mark.parametrize("structure", ["conformer", "transformer", "e_branchformer", "CTC"])
def test_random_combinations_with_static_activations(structure: str) -> None:
    """Blocks, widths, heads, ranks, sparsity, bits and exceptions of all kinds together."""
    model = model_of(structure)
    forecast, heard = Forecast(model), CalibratedOn("5" * 64, heard_by(model).utterances)
    for drawn in draw_structured(model, 12, seed=7):
        configuration = replace(drawn, scheme=replace(drawn.scheme, kernel="int8", activations="static"))
        made = compressed(model, configuration)
        assert check_parity(model, made, waveforms(20_000)).passed, configuration.to_json()
        sizes = {name: len(data) for name, data in render(model, made).items()}
        assert dict(forecast.foretell(configuration, heard).files) == sizes, configuration.to_json()


def test_graphs_and_bytes_do_not_depend_on_what_was_heard() -> None:
    model = shared_model()
    other = calibrate(model.network, utterances(model, 2), model.sos, "6" * 64)
    first, second = (render(model, compress_model(model, static(model), calibration=one)) for one in (heard_by(model), other))
    for name in first:
        assert (first[name] == second[name]) == (name not in ("weights.bin", "manifest.json")), name
        assert len(first[name]) == len(second[name])


def test_onnxruntime_runs_static_products_and_no_others(tmp_path: Path) -> None:
    model = shared_model()
    bundle = write_bundle(model, compressed(model, static(model)), tmp_path / "bundle")
    found = operators(optimized_graphs(bundle, tmp_path))
    layers = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["graphs"]
    products = sum(entry["form"] == "codes_transposed" for graph in layers.values() for entry in graph["initializers"])
    assert found["MatMulIntegerToFloat"] == products
    assert found["QuantizeLinear"] == products  # each has an input of its own
    assert not {"DynamicQuantizeMatMul", "DynamicQuantizeLinear", "Gemm", "FusedGemm"} & set(found)


def test_a_bundle_runs_and_so_does_its_self_contained_form(tmp_path: Path) -> None:
    """The writer of that form compares the two, bit for bit."""
    model = shared_model()
    bundle = write_bundle(model, compressed(model, static(model, 4)), tmp_path / "bundle")
    translator = Translator.from_bundle(bundle, beam_size=3, maxlenratio=-4)
    assert np.isfinite(translator.translate(waveforms(20_000)[0]).score)
    write_self_contained(bundle, tmp_path / "alone")


def test_utterances_of_a_batch_hardly_change_each_other(tmp_path: Path) -> None:
    """Padding moves sums of floats by a unit, and that rarely takes an activation across half a step; a shared range always does more."""
    model, audios, apart = shared_model(), waveforms(20_000, 31_000, 47_000), []
    for name, made in (
        ("static", compressed(model, static(model))),
        ("dynamic", compress_model(model, replace(static(model), scheme=Scheme()))),
    ):
        translator = Translator.from_bundle(write_bundle(model, made, tmp_path / name), beam_size=3, maxlenratio=-8)
        alone = [translator.translate(audio) for audio in audios]
        together = translator.translate_batch(audios, 3, approximate=True)
        assert all(found.approximate for found in together)
        assert translator.translate_batch(audios, 3) == tuple(alone)  # one by one
        apart.append(max(abs(one.score - other.score) for one, other in zip(alone, together, strict=True)))
    assert apart[0] < 0.1 * apart[1]


def test_a_range_that_is_missing_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    model = shared_model()
    made = compressed(model, static(model))
    ranges = {path: given for path, given in made.ranges.items() if path != W1}
    with pytest.raises(BadInput, match=f"static activations need a range of what every int8 layer reads, got none of {W1}"):
        write_bundle(model, replace(made, ranges=ranges), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(BadInput, match="static activations need a calibration"):
        Forecast(model).foretell(static(model))


def spoil_ranges(monkeypatch: pytest.MonkeyPatch, change: Callable[[np.ndarray], np.ndarray]) -> None:
    def assemble_wrongly(*arguments: Any, **named: Any) -> BundleParts:
        parts = assemble(*arguments, **named)
        name = "decoder.input_ranges"
        return parts if named["fp32"] else replace(parts, tensors={**parts.tensors, name: change(parts.tensors[name])})

    monkeypatch.setattr(parity, "assemble", assemble_wrongly)


def exchange_rows(ranges: np.ndarray) -> np.ndarray:
    return ranges[[1, 0, *range(2, len(ranges))]]


def widen_the_third(ranges: np.ndarray) -> np.ndarray:
    return ranges * (1 + np.float32(0.01) * (np.arange(len(ranges)) == 2))[:, None].astype(np.float32)


@pytest.mark.parametrize(
    ("change", "place"), [(exchange_rows, "self_attn.linear_q"), (widen_the_third, "src_attn.linear_q")], ids=["exchanged", "wider"]
)
def test_the_gate_finds_wrong_ranges(change: Callable[[np.ndarray], np.ndarray], place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_ranges(monkeypatch, change)
    with pytest.raises(ParityError, match=rf"it begins in the product of decoder\.decoders\.0\.{place}"):
        check_parity(shared_model(), compressed(shared_model(), static(shared_model())), waveforms(20_000))


def test_the_gate_finds_graphs_that_are_dynamic_after_all() -> None:
    model = shared_model()
    made = compressed(model, static(model))
    dynamic = replace(made, configuration=replace(made.configuration, scheme=Scheme()))
    with pytest.raises(ParityError, match="whose activations must be static"):
        check_parity(model, dynamic, waveforms(20_000))


@pytest.mark.parametrize("pair", [(0.5, 1.0), (-1.0, float("nan"))])
def test_a_bundle_with_ranges_that_are_none_is_refused_in_one_line(pair: tuple[float, float], tmp_path: Path) -> None:
    """Though all digests are right, as somebody could have made them."""
    model = shared_model()
    bundle = write_bundle(model, compressed(model, static(model)), tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    record = next(entry for entry in manifest["tensors"] if entry["name"] == "encoder.input_ranges")
    data = bytearray((bundle / "weights.bin").read_bytes())
    data[record["offset"] : record["offset"] + 8] = np.array(pair, "<f4").tobytes()
    (bundle / "weights.bin").write_bytes(data)
    with pytest.raises(BadInput, match=r"weights\.bin"):  # its digest is wrong
        Translator.from_bundle(bundle)
    manifest["files"]["weights.bin"]["sha256"] = hashlib.sha256(data).hexdigest()
    (bundle / "manifest.json").write_text(seal({key: value for key, value in manifest.items() if key != "digest"}), encoding="utf-8")
    with pytest.raises(BadInput, match=r"a range of activations must be finite and hold 0, got .* in row 0"):
        Translator.from_bundle(bundle, beam_size=3)


def test_the_outlier_check_rounds_by_the_static_range() -> None:
    model, rows = shared_model(), heard_by(shared_model()).rows
    made = compressed(model, static(model))
    wide = {path: replace(given, low=10 * given.low, high=10 * given.high) for path, given in made.ranges.items()}
    errors, larger = (measure_rounding(model.inventory(), one, rows) for one in (made, replace(made, ranges=wide)))
    assert set(errors) == set(larger)
    assert 5 < np.median([larger[path] / errors[path] for path in errors]) < 20
