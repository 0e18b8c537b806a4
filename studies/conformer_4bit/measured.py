"""What is measured of a system: its score beside the baseline's, by three judgements, and its size, by three counts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from paredown.profilers.size import BundleSize, Ratios, WeightBytes, measure_size
from paredown.quality import Difference, NonInferiority, dagger, non_inferiority
from paredown.quality.metrics import sign, unit
from paredown.space.configuration import Configuration
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Figure

DAGGER = "†"
PARAMETERS, PRICE = "parameters, M (all / encoder)", "eta"


@dataclass(frozen=True)
class Size:
    """`nominal_bytes`: bit-widths alone, norms and biases at 32; `weight_bytes`: scales included; of everything and of the encoder."""

    parameters: int
    encoder_parameters: int
    nominal_bytes: float
    encoder_nominal_bytes: float
    weight_bytes: int
    encoder_weight_bytes: int
    bundle_bytes: int


def metric_of(bench: Bench) -> str:
    """WER of a recognizer, chrF of a translator."""
    return "wer" if bench.model.task == "asr" else "chrf"


def score_column(bench: Bench) -> Column:
    """The heading of the score."""
    metric = metric_of(bench)
    return Column("WER, %" if metric == "wer" else unit(metric), 2)


JUDGEMENTS = (
    Column(DAGGER, ours_only=True),
    Column("loss (95 % bound)", ours_only=True),
    Column("non-inferior", ours_only=True),
)


def non_inferior(bench: Bench, candidate: Configuration, base: Configuration) -> NonInferiority:
    """Whether the candidate loses less than the default margin against the baseline, on test."""
    return non_inferiority(metric_of(bench), bench.texts(candidate), bench.texts(base), bench.references())


def gain(bench: Bench, candidate: Configuration, other: Configuration) -> Difference:
    """Points by which the candidate is better, whatever the metric's direction: paired, above 0 is better."""
    found = bench.beside(metric_of(bench), candidate, other)
    towards = sign(found.metric)
    low, high = sorted(towards * end + 0.0 for end in found.ci95)  # no gain is 0.0, not -0.0
    return Difference(found.metric, towards * found.value + 0.0, (low, high), found.utterances)


def judged(bench: Bench, candidate: Configuration, base: Configuration) -> tuple[dict[str, Figure], dict[str, tuple[float, float]]]:
    """The score and its judgements beside the baseline's, and the intervals that belong to them."""
    metric, column = metric_of(bench), score_column(bench).name
    found = bench.score(metric, candidate)
    ours: dict[str, Figure] = {column: found.value}
    intervals = {} if found.ci95 is None else {column: found.ci95}
    if candidate != base:
        same = dagger(metric, bench.texts(candidate), bench.texts(base), bench.references())
        bound = non_inferior(bench, candidate, base)
        marks = (DAGGER if same.dagger else "", f"{bound.loss:+.2f} ({bound.upper95:+.2f})", "yes" if bound.passed else "no")
        ours |= dict(zip((each.name for each in JUDGEMENTS), marks, strict=True))
    return ours, intervals


def sized(bench: Bench, configuration: Configuration) -> Size:
    """Read off the bundle and its manifest."""

    def measure() -> dict[str, Any]:
        with bench.built(configuration) as bundle:
            tensors = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["tensors"]
            everything, encoder = _count(tensors), _count([each for each in tensors if each["name"].startswith("encoder.")])
            whole = {"bundle_bytes": measure_size(bundle).size_bytes}
        return everything | {f"encoder_{name}": value for name, value in encoder.items()} | whole

    return Size(**bench.remember("footprint", measure, configuration.digest))


def _count(tensors: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Parameters, nominal bytes and weight bytes of some tensors of a bundle."""
    parameters = sum(prod(each["shape"]) for each in tensors)
    found = WeightBytes.of(tensors)
    weight_bytes = found.codes_bytes + found.masks_bytes + found.scales_bytes + found.fp32_bytes + found.fp16_bytes
    ratios = Ratios.of(BundleSize((("weights.bin", weight_bytes),)), tensors, parameters)
    return {"parameters": parameters, "nominal_bytes": 4 * parameters / ratios.nominal_bits, "weight_bytes": weight_bytes}


def both(everything: float, encoder: float, digits: int = 2) -> str:
    """A figure of everything and of the encoder, as the paper prints them."""
    return f"{everything:.{digits}f} / {encoder:.{digits}f}"


def parameters_of(size: Size) -> str:
    """Parameters in millions."""
    return both(size.parameters / 1e6, size.encoder_parameters / 1e6)


def told(difference: Difference) -> str:
    """A paired gain with its interval."""
    low, high = difference.ci95
    return f"{difference.value:+.2f} [{low:+.2f}, {high:+.2f}] {unit(difference.metric)}"
