"""What a study will find and cost, told in half a minute before it begins: sizes, knobs, analyses, seconds of a trial, and the whole.

Sizes are exact where the analyses that the axes need lie in the cache. Otherwise stand-ins take their place, which are as large: as many
blocks from the middle, as many bits a weight. Everything in seconds is an estimate from a few utterances. Nothing is written into the
study's folder, and no analysis is made.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paredown.analysis.layer_order import LayerOrder, greedy_order, middle_order
from paredown.analysis.result import WIDTHS, Analysis
from paredown.data import Split
from paredown.errors import BadInput
from paredown.models import Model, load_model
from paredown.profilers.fingerprint import read_fingerprint
from paredown.quality.metrics import check_words, found_tokenizer
from paredown.search.lock import is_held
from paredown.search.racing import FIRST
from paredown.search.space_section import SpaceSection
from paredown.search.spec import StudySpec
from paredown.search.units import format_duration, format_size, parse_duration_s
from paredown.space.axes.base import SearchSpace
from paredown.space.configuration import Configuration
from paredown.space.knobs import ChoiceKnob, FloatKnob, Knob
from paredown.trials.block_order import LOSS
from paredown.trials.calibrating import calibrate_workshop
from paredown.trials.decoding import Decoder, Hypothesis, Search
from paredown.trials.evaluation import TIMED_UTTERANCES, Evaluator, spread_by_length, uncompressed
from paredown.trials.findings import Findings, find, load_supernet
from paredown.trials.limits import check_budgets, check_space, check_targets
from paredown.trials.sensitivity import AnalysisSettings, read_samples
from paredown.trials.space import make_space
from paredown.trials.study_run import energy_request, split_of
from paredown.trials.teller import Teller
from paredown.trials.timing import Stopwatch
from paredown.trials.workshop import Workshop

if TYPE_CHECKING:
    from paredown.space.inventory import Inventory

_KL_SAMPLES, _KL_EVERY = 2, 8  # utterances, and every so many-th layer, that the cost of the KL table is told from
_LOSS_SHARE = 0.2  # of decoding an utterance, that its teacher-forced loss takes


@dataclass(frozen=True)
class Part:
    """An analysis that is not in the cache; `seconds` None where its cost is not known."""

    name: str
    seconds: float | None


@dataclass(frozen=True)
class DryRun:
    """`smallest_bytes`: with every axis at its lowest, `exact` or by stand-ins. `points`: of the space, None where a knob is continuous.

    Seconds are estimates: `trial_s` of one that is measured in full, `raced_s` of one that is raced out at the first subset, `first_s`
    before the first trial without the analyses, `missing`. `trials`, `time_s`: what the study may have.
    """

    study: str
    uncompressed_bytes: int
    smallest_bytes: int
    exact: bool
    budgets: tuple[tuple[str, str], ...]
    knobs: int
    points: int | None
    missing: tuple[Part, ...]
    first_s: float
    trial_s: float
    raced_s: float
    sampled: int
    trials: int
    time_s: float | None

    @property
    def analysis_s(self) -> float:
        """Of those analyses whose cost is known."""
        return sum(part.seconds or 0.0 for part in self.missing)

    @property
    def total_s(self) -> tuple[float, float]:
        """Of all trials: were every one raced out, and none."""
        before = self.analysis_s + self.first_s
        return before + self.trials * self.raced_s, before + self.trials * self.trial_s

    @property
    def fitting(self) -> tuple[int, int] | None:
        """How many trials fit into the time, none raced out, and all; None without a limit."""
        if self.time_s is None:
            return None
        left_s = max(0.0, self.time_s - self.analysis_s - self.first_s)
        return min(self.trials, int(left_s / self.trial_s)), min(self.trials, int(left_s / self.raced_s))

    def lines(self) -> tuple[str, ...]:
        """What a person wants to know, a line each."""
        about = "" if self.exact else "about "
        smallest = f"smallest size {about}{format_size(self.smallest_bytes)}"
        why = "exact" if self.exact else "by stand-ins for analyses that are still to be made"
        found = [
            f"{self.study}: uncompressed {format_size(self.uncompressed_bytes)} (exact), {smallest} ({why})",
            *(f"budget {name}: {word}" for name, word in self.budgets),
            f"space: {self.knobs} knobs, {'no end of points, some are continuous' if self.points is None else f'{self.points:,} points'}",
        ]
        parts = [
            f"{part.name} {'at a cost that is not known' if part.seconds is None else f'about {format_duration(part.seconds)}'}"
            for part in self.missing
        ]
        found.append("analyses: " + ("; ".join(parts) if parts else "none left to make, 0 s"))
        found.append(
            f"a trial: about {self.trial_s:.1f} s in full, {self.raced_s:.1f} s raced out at once "
            f"(estimated from {self.sampled} utterances); before the first one {self.first_s:.0f} s"
        )
        least, most = self.total_s
        found.append(
            f"{self.trials} trials: about {format_duration(least)} to {format_duration(most)} in all, the more are raced out the less"
        )
        if self.fitting is not None:
            low, high = self.fitting
            count = f"all {low}" if low == self.trials else f"about {low} to {high} of {self.trials}"
            found.append(f"within {format_duration(self.time_s or 0.0)}: {count} trials")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form; everything in seconds is an estimate."""
        plain = {name: value for name, value in asdict(self).items() if name not in ("budgets", "missing")}
        more = {"budgets": dict(self.budgets), "missing": [asdict(part) for part in self.missing], "analysis_s": self.analysis_s}
        return plain | more | {"total_s": list(self.total_s), "fitting": None if self.fitting is None else list(self.fitting)}


def foretell_study(spec: StudySpec, folder: Path, telling: Teller) -> DryRun:
    """What the study in `folder` will cost; nothing is written there.

    Raises BadInput for whatever a run refuses before its first trial, impossible budgets among it (those on size only where the smallest
    size is exact).
    """
    began = time.monotonic()
    if is_held(folder):
        raise BadInput(f"one process drives a study at a time: {folder} is held by another one")
    energy = energy_request(spec)
    check_targets(spec)
    model = load_model(spec.model.path)
    check_space(spec.space, model)
    search, analysis = split_of(spec, "search"), split_of(spec, "analysis")
    check_words((spec.objectives.quality,), found_tokenizer(search.references(model.task)))
    threads, sample = spec.target.threads, spread_by_length(search, TIMED_UTTERANCES)
    with Decoder() as decoder, Workshop(model) as workshop, Stopwatch(threads) as stopwatch:
        known = _Known(spec.space, model, analysis, workshop, telling)
        space = make_space(known.section, model, known.findings, workshop.count_survivors)
        telling.line(f"a trial: tried on {len(sample)} utterances of {search.name}")
        metric, seed = spec.objectives.quality, spec.search.seed
        evaluator = Evaluator(workshop, decoder, stopwatch, sample, metric, seed, read_fingerprint(threads), energy)
        costs = _Costs(evaluator, space, workshop, decoder, sample, targets=len(spec.objectives.latency))
        if known.exact or not any(budget.name == "size" for budget in spec.budget_list):
            check_budgets(spec, space, workshop, evaluator)
        missing = tuple(Part(name, known.cost(name, costs.utterance_s, decoder)) for name in known.missing)
        smallest = workshop.foretell(space.smallest()).size_bytes
        return DryRun(
            study=spec.name,
            uncompressed_bytes=workshop.foretell(uncompressed(model)).size_bytes,
            smallest_bytes=smallest,
            exact=known.exact,
            budgets=tuple((str(budget), _reach(budget.measure, budget.limit, smallest, known.exact)) for budget in spec.budget_list),
            knobs=len(space.knobs),
            points=count_points(space.knobs),
            missing=missing,
            first_s=costs.reference_s(len(search)) + time.monotonic() - began - costs.seconds - known.seconds,
            trial_s=costs.trial_s(len(search)) + _training_s(spec),
            raced_s=costs.raced_s(len(search), spec.search.racing) + _training_s(spec),
            sampled=len(sample),
            trials=spec.search.trials,
            time_s=spec.search.time_s,
        )


def count_points(knobs: Sequence[Knob]) -> int | None:
    """Of the grid of all knobs; None where one is continuous."""
    count = 1
    for knob in knobs:
        if isinstance(knob, ChoiceKnob):
            count *= len(knob.choices)
        elif not isinstance(knob, FloatKnob):
            count *= knob.high - knob.low + 1
        elif knob.low < knob.high:
            if knob.step is None:
                return None
            count *= round((knob.high - knob.low) / knob.step) + 1
    return count


def _reach(measure: str, limit: float, smallest_bytes: int, exact: bool) -> str:
    if measure == "size_bytes":
        return ("can be met" if exact else "can probably be met") if smallest_bytes <= limit else "probably out of reach"
    if measure.startswith(("latency_ms@", "energy_mj@")):
        return "not ruled out by the smallest model"
    return "not known before it is searched"


def _training_s(spec: StudySpec) -> float:
    """Of a candidate's short recovery, where the study tells it as a time."""
    short = None if spec.recovery is None else spec.recovery.short
    return 0.0 if short is None else parse_duration_s(short)


class NotAnalysed(Exception):
    """An analysis is not in the cache."""


class _Refusing:
    """Stands for the decoder: every analysis that is not in the cache begins with it, by decoding or by asking for its processes."""

    @property
    def workers(self) -> int:
        raise NotAnalysed

    def decode(self, bundle: Path, split: Split, search: Search | None = None) -> tuple[Hypothesis, ...]:
        raise NotAnalysed


_REFUSING: Any = _Refusing()  # it has what analyses use of a decoder


class _Silent:
    """Nobody is told of what is tried."""

    def line(self, text: str) -> None: ...
    def progress(self, what: str, done: int, total: int) -> None: ...


class _Known:
    """What the cache has of the analyses of a space, stand-ins for the rest.

    `section`: the space without what no stand-in can replace. `missing`: names of what is not there. `seconds`: spent on looking.
    """

    def __init__(self, section: SpaceSection, model: Model, split: Split, workshop: Workshop, tell: Teller) -> None:
        began = time.monotonic()
        self._model, self._split, self._workshop, self._whole = model, split, workshop, section
        self.section, self.missing = section, self._missing_parts()
        supernet = load_supernet(section.width, model)
        if section.is_calibrated and not self._is_calibrated(None if supernet is None else supernet.digest):
            self.missing = (*self.missing, "calibration")
            bits = None if section.bits is None else section.bits.model_copy(update={"method": "rtn"})
            self.section = section.model_copy(update={"bits": bits, "activations": "dynamic"})
        self.exact = not self.missing
        if self.exact:
            self.findings = find(section, model, split, workshop, _REFUSING, _Silent())
        else:
            tell.line(f"not in the cache: {', '.join(self.missing)}")
            self.findings = replace(self._stand_in(), supernet=None if supernet is None else supernet.digest)
        self.seconds = time.monotonic() - began

    def _missing_parts(self) -> tuple[str, ...]:
        """Each axis that needs an analysis is asked for alone."""
        whole, found = self._whole, []
        nothing = dict.fromkeys(("bits", "layers", "heads", "rank", "sparsity", "input", "decode"))
        nothing |= {"width": None if whole.width is None or whole.width.supernet is None else whole.width}
        for axis in ("bits", "layers", "heads", "width", "rank"):
            if getattr(whole, axis) is None:
                continue
            alone, decoder = whole.model_copy(update=nothing | {axis: getattr(whole, axis)}), _REFUSING
            try:
                find(alone, self._model, self._split, self._workshop, decoder, _Silent())
            except NotAnalysed:
                found.append(axis)
        return tuple(found)

    def _is_calibrated(self, supernet: str | None) -> bool:
        try:
            calibrate_workshop(self._workshop, supernet, self._split, _REFUSING, _Silent())
        except NotAnalysed:
            return False
        return True

    def _stand_in(self) -> Findings:
        """Blocks that go from the middle on, and layers that all mind few bits alike, each weight as much as any other."""
        inventory, orders = self._model.inventory(), {}
        for stack, least in AnalysisSettings.for_space(self._whole, inventory).orders:
            blocks, layers = range(dict(inventory.blocks)[stack]), self._whole.layers
            protect = layers is not None and layers.protect
            orders[stack] = LayerOrder(middle_order(blocks, protect_first_last=protect, minimum=least), ())
        paths = tuple(layer.path for layer in inventory.layers)
        return Findings(Analysis(paths, _alike(inventory), orders, "stand-ins", 0.0))

    def cost(self, name: str, utterance_s: float, decoder: Decoder) -> float | None:
        """Seconds that a missing analysis will take, about; None where there is no telling. `utterance_s`: of decoding one."""
        settings = AnalysisSettings.for_space(self._whole, self._model.inventory())
        if name == "bits" and self._whole.bits is not None and not self._whole.bits.rounds:
            return self._cost_of_table(settings, decoder)
        if name == "layers":
            calls = sum(self._count_calls(stack, least, settings) for stack, least in settings.orders)
            share = _LOSS_SHARE if settings.order.by == LOSS else 1.0
            return calls * min(settings.order.utterances, len(self._split)) * utterance_s * share
        return None

    def _cost_of_table(self, settings: AnalysisSettings, decoder: Decoder) -> float:
        from paredown.analysis.kl import measure_kl  # torch

        model, layers = self._model, [layer.path for layer in self._model.inventory().layers]
        samples = read_samples(model, spread_by_length(self._split, _KL_SAMPLES), self._workshop, decoder)
        began = time.monotonic()
        measure_kl(model.network, layers[::_KL_EVERY], samples, model.sos, measure=settings.measure, threads=decoder.workers)
        share = len(samples) / min(settings.kl_utterances, len(self._split)) * len(layers[::_KL_EVERY]) / len(layers)
        return (time.monotonic() - began) / share

    def _count_calls(self, stack: str, least: int, settings: AnalysisSettings) -> int:
        """How many sets of blocks the order looks at."""
        calls, rule = 0, settings.order

        def count(kept: tuple[int, ...]) -> float:
            nonlocal calls
            calls += 1
            return float(sum(kept))

        if rule.rule == "greedy":
            blocks = range(dict(self._model.inventory().blocks)[stack])
            greedy_order(blocks, count, protect_first_last=rule.protect, minimum=least, width=rule.width)
        return calls


def _alike(inventory: "Inventory") -> "np.ndarray[Any, np.dtype[np.float64]]":
    """A table [layers, widths] by which a bit more is worth a quarter of the one before, in every weight."""
    weights = np.array([float(np.prod(layer.shape)) for layer in inventory.layers])
    return np.outer(weights / weights.sum(), 4.0 ** -np.array(WIDTHS, dtype=np.float64))


class _Costs:
    """Seconds of the parts of a trial, each taken once on a few utterances with a configuration from the middle of the space."""

    def __init__(self, evaluator: Evaluator, space: SearchSpace, workshop: Workshop, decoder: Decoder, sample: Split, targets: int) -> None:
        began, self._targets = time.monotonic(), targets
        reference = evaluator.reference
        configuration = _middle(space)
        bundle, self._build_s = _timed(workshop.build, configuration)
        _, decode_s = _timed(decoder.decode, bundle, sample)
        _, self._time_s = _timed(evaluator.time, bundle, reference.bundle)
        _, self._count_s = _timed(evaluator.count_energy, bundle, reference.bundle)
        self.utterance_s = decode_s / len(sample)
        workshop.discard(configuration)
        self.seconds = time.monotonic() - began

    def trial_s(self, utterances: int) -> float:
        return self._build_s + self.utterance_s * utterances + self._time_s * self._targets + self._count_s

    def raced_s(self, utterances: int, racing: bool) -> float:
        """Of one that ends at the first subset, before anything is timed; a whole trial where nothing is raced."""
        return self._build_s + self.utterance_s * min(FIRST, utterances) if racing else self.trial_s(utterances)

    def reference_s(self, utterances: int) -> float:
        return self.trial_s(utterances)


def _middle(space: SearchSpace) -> Configuration:
    """Every knob half way."""
    return space.resolve({knob.name: knob.checked(_half(knob)) for knob in space.knobs})


def _half(knob: Knob) -> float:
    half = (knob.low + knob.high) / 2
    return float(int(half)) if knob.integer and not isinstance(knob, ChoiceKnob) else half


def _timed(work: Any, *arguments: Any) -> tuple[Any, float]:
    began = time.monotonic()
    return work(*arguments), time.monotonic() - began
