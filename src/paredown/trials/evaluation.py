"""What a study measures of one configuration: quality of the bundle itself, latency beside the uncompressed one, bytes on disk."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile

from paredown.data import Split
from paredown.errors import BadInput
from paredown.profilers.energy.energy import Energy
from paredown.profilers.energy.protocol import CHEAP as ENERGY_PROTOCOL
from paredown.profilers.fingerprint import Fingerprint
from paredown.profilers.latency import CHEAP, Latency
from paredown.profilers.machine_lock import machine_share
from paredown.profilers.measurement import Measurement
from paredown.profilers.size import measure_size
from paredown.quality.metrics import found_tokenizer
from paredown.search.outcome import Outcome, Rejected
from paredown.space.configuration import Configuration, Scheme
from paredown.space.operations import count_parameters
from paredown.trials.anchor import BESIDE, FIXED, PLAIN, Anchor, may_anchor
from paredown.trials.decoding import Decoder, Hypothesis
from paredown.trials.forced_loss import Items, Losses
from paredown.trials.metering import EnergyRequest, meter
from paredown.trials.operations import macs_of_bundle
from paredown.trials.scoring import score_found
from paredown.trials.shared_encoding import SharedStates, encoder_digest
from paredown.trials.timing import REFERENCE, Stopwatch, Timed
from paredown.trials.workshop import Workshop

if TYPE_CHECKING:
    from paredown.models import Model

UNCOMPRESSED = Configuration(scheme=Scheme(kernel="fp32"))
TIMED_UTTERANCES = 24
FIXED_TOKENS = 16
MACS_AUDIO_S = 5.0  # the utterance whose multiply-accumulates are told


def uncompressed(model: "Model") -> Configuration:
    """The model as it is, decoded as its kind is: what all trials of a study are compared with."""
    from paredown.models.decode import default_decode  # torch

    return replace(UNCOMPRESSED, decode=default_decode(model))


@dataclass(frozen=True)
class Known:
    """Latency and energy of the reference in an earlier run of the study, so that trials of both runs share one scale.

    `others`: latency on further targets, by their names; `anchor`: what later trials were timed beside, and its latency.
    """

    latency_ms: float | None = None
    energy_mj: float | None = None
    others: tuple[tuple[str, float], ...] = ()
    anchor: tuple[Configuration, Measurement] | None = None


@dataclass(frozen=True)
class Target:
    """A further target that latency is measured on: the process that times there, and what machine that is."""

    name: str
    stopwatch: Stopwatch
    machine: Fingerprint


NOTHING_KNOWN = Known()


@dataclass(frozen=True)
class Reference:
    """The uncompressed model as it was measured on this machine: what trials are compared with.

    `latency` is what was timed in this run, None where `latency_ms` was known from an earlier one; the same of energy, where it is counted.
    `others_ms`: latency on further targets, by their names.
    """

    bundle: Path
    found: tuple[Hypothesis, ...]
    latency_ms: float
    latency: Latency | None
    energy_mj: float | None = None
    energy: Energy | None = None
    others_ms: tuple[tuple[str, float], ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(hypothesis.text for hypothesis in self.found)


class Evaluator:
    """Measures configurations of one model on one split. Latency is timed while the decoding processes rest.

    The first call measures the uncompressed bundle, whatever is asked: all differences and ratios are taken to it.
    `machine`: what latency is measured on. `energy`: how energy is counted, None where it is not. `known`: of the reference, from an
    earlier run. `others`: further targets. `instructions`: of the processors that decode, None for the target's.
    Several threads may evaluate at once; bundles are built one after the other.
    """

    def __init__(
        self,
        workshop: Workshop,
        decoder: Decoder,
        stopwatch: Stopwatch,
        split: Split,
        metric: str,
        seed: int,
        machine: Fingerprint,
        energy: EnergyRequest | None = None,
        known: Known = NOTHING_KNOWN,
        others: Sequence[Target] = (),
        instructions: tuple[str, ...] | None = None,
    ) -> None:
        self.workshop, self._decoder, self._stopwatch = workshop, decoder, stopwatch
        self.split, self.metric, self._seed, self._machine = split, metric, seed, machine
        self.references = split.references(workshop.model.task)
        self.tokenizer = found_tokenizer(self.references)
        self._timed = spread_by_length(split, TIMED_UTTERANCES)
        self._energy, self._known = energy, known
        self._others = tuple(others)
        self._instructions = machine.instructions if instructions is None else instructions
        self._reference: Reference | None = None
        self._anchor: Anchor | None = None
        self._states = SharedStates(workshop.folder / "states")
        self._first, self._building, self._anchoring = threading.Lock(), threading.Lock(), threading.Lock()

    @property
    def reference(self) -> Reference:
        """The uncompressed bundle, built, decoded and timed when it is first asked for."""
        with self._first:
            if self._reference is None:
                self._reference = self._measure_reference()
        return self._reference

    def _measure_reference(self) -> Reference:
        bundle = self.workshop.build(self.uncompressed)
        found = self._decoder.decode(bundle, self.split)
        latency = None if self._known.latency_ms else self.time(bundle, bundle)
        latency_ms = latency.free.median_ms if latency else float(self._known.latency_ms or 0.0)
        energy = None if self._known.energy_mj else self._count_reference(bundle)
        energy_mj = _gross_mj(energy) if energy else self._known.energy_mj
        known = dict(self._known.others)
        others = [(one.name, known.get(one.name) or self.time(bundle, bundle, one.stopwatch).free.median_ms) for one in self._others]
        return Reference(bundle, found, latency_ms, latency, energy_mj, energy, tuple(others))

    def _count_reference(self, bundle: Path) -> Energy | None:
        """Raises BadInput where the source refuses it: that is no fault of a configuration, and without it no trial has a scale."""
        try:
            return self.count_energy(bundle, bundle)
        except Rejected as reason:
            raise BadInput(f"the uncompressed model must have a figure of energy first; {reason}") from None

    def __call__(self, configuration: Configuration, number: int) -> Outcome:
        """Build the bundle of `configuration`, measure it in full and throw it away."""
        with self.built(configuration) as bundle:
            found = self.reference.found if bundle == self.reference.bundle else self._decoder.decode(bundle, self.split)
            costs = self.measured_costs(bundle, configuration)
            work = self.work(bundle, configuration)
        return Outcome((*self.quality(found), *costs, *work))

    @cached_property
    def uncompressed(self) -> Configuration:
        """The configuration that all others are compared with."""
        return uncompressed(self.workshop.model)

    @cached_property
    def timed_seconds(self) -> tuple[tuple[int, float], ...]:
        """Of every timed utterance its place in the split and its seconds of audio."""
        places = {utterance.id: place for place, utterance in enumerate(self.split.utterances)}
        return tuple((places[one.id], soundfile.info(str(one.audio)).duration) for one in self._timed.utterances)

    def decode(self, bundle: Path, places: Sequence[int], configuration: Configuration) -> dict[int, Hypothesis]:
        """Hypotheses of these utterances of the split, by their places in it. Encoder work is shared between bundles of one encoder."""
        part = Split(self.split.name, tuple(self.split.utterances[place] for place in places))
        if not isinstance(self._decoder, Decoder):  # states stay where they were computed
            return dict(zip(places, self._decoder.decode(bundle, part), strict=True))
        encoder = encoder_digest(configuration, self.workshop.weights_of(configuration).digest)
        return dict(zip(places, self._decoder.decode(bundle, part, states=self._states.folder_of(encoder)), strict=True))

    @property
    def can_force(self) -> bool:
        """Whether bundles run here, so that their loss can be told."""
        return isinstance(self._decoder, Decoder)

    def force(self, bundle: Path, items: Items) -> Losses:
        """Teacher-forced loss of a bundle on every item."""
        assert isinstance(self._decoder, Decoder)
        return self._decoder.force(bundle, items)

    @contextmanager
    def built(self, configuration: Configuration) -> Iterator[Path]:
        """Its bundle, thrown away afterwards unless it is the reference's."""
        reference = self.reference
        self.workshop.train(configuration)
        with self._building:
            bundle = self.workshop.build(configuration)
        try:
            yield bundle
        finally:
            if bundle != reference.bundle and (self._anchor is None or bundle != self._anchor.bundle):
                self.workshop.discard(configuration)

    def _latency(self, bundle: Path, configuration: Configuration) -> Measurement:
        """Beside the anchor, once there is one; the first quick bundle becomes it."""
        reference = self.reference
        if bundle == reference.bundle:
            return on_one_scale(reference.latency or self.time(bundle, bundle), reference.latency_ms)
        with self._anchoring:
            if self._anchor is None and self._known.anchor is not None:
                self._anchor = self._anchored(*self._known.anchor)
            if self._anchor is None or self._anchor.configuration == configuration:
                found = on_one_scale(self.time(bundle, reference.bundle), reference.latency_ms)
                figure = replace(found, detail=(*found.detail, (BESIDE, PLAIN)))
                if self._anchor is None and may_anchor(figure, reference.latency_ms):
                    self._anchor = self._anchored(configuration, figure)
                return figure
        return self._anchor.place(self.time(bundle, self._anchor.bundle))

    def _anchored(self, configuration: Configuration, figure: Measurement) -> Anchor:
        assert figure.ci95 is not None  # `may_anchor` says so
        fixed = figure.detail_of.get(FIXED)
        ratio = fixed if isinstance(fixed, float) else None
        return Anchor(configuration, self.workshop.build(configuration), figure.value, figure.ci95, ratio)

    def measured_costs(self, bundle: Path, configuration: Configuration) -> list[tuple[str, Measurement]]:
        """Latency, and energy where it is counted, on the study's scale: measured now, beside the reference."""
        reference, here = self.reference, self._machine.digest
        itself = bundle == reference.bundle
        energy = (reference.energy if itself else None) or self.count_energy(bundle, reference.bundle)
        costs = [("latency_ms@cpu", replace(self._latency(bundle, configuration), target=here))]
        if energy is not None and reference.energy_mj is not None:
            costs.append(("energy_mj@cpu", replace(energy_on_one_scale(energy, reference.energy_mj), target=here)))
        for target, (name, reference_ms) in zip(self._others, reference.others_ms, strict=True):
            there = on_one_scale(self.time(bundle, reference.bundle, target.stopwatch), reference_ms)
            costs.append((f"latency_ms@{name}", replace(there, target=target.machine.digest)))
        return costs

    def work(self, bundle: Path, configuration: Configuration) -> list[tuple[str, Measurement]]:
        """Bytes, parameters and multiply-accumulates of a bundle, exactly."""
        macs = float(macs_of_bundle(bundle, MACS_AUDIO_S, FIXED_TOKENS))
        return [("size_bytes", measure_size(bundle).to_measurement()), *self.counts(configuration, macs)]

    def counts(self, configuration: Configuration, macs: float) -> list[tuple[str, Measurement]]:
        """Parameters and multiply-accumulates, as figures."""
        stored = float(count_parameters(self.workshop.model.inventory(), configuration))
        work = Measurement(macs, "MACs", detail=(("audio_s", MACS_AUDIO_S), ("tokens", FIXED_TOKENS)))
        return [("params", Measurement(stored, "parameters")), ("macs", work)]

    def quality(self, found: Sequence[Hypothesis], known: Sequence[int] | None = None) -> list[tuple[str, Measurement]]:
        """The figures of quality of these hypotheses: of the whole split, or of the utterances `known` (indices)."""
        with machine_share():  # a thousand resamples are a part of a second
            places = range(len(self.split)) if known is None else known
            baseline, references = [self.reference.found[place] for place in places], [self.references[place] for place in places]
            instructions = " ".join(self._instructions)
            return list(score_found(self.metric, self.workshop.model.task, found, baseline, references, instructions))

    def time(self, bundle: Path, reference: Path, stopwatch: Stopwatch | None = None) -> Latency:
        """Latency of a bundle beside the reference, on a few utterances of the split, as often as a search can afford.

        `stopwatch`: of another target than the usual one.
        """
        candidates = {REFERENCE: Timed(reference)} | ({"candidate": Timed(bundle)} if bundle != reference else {})
        timed = (stopwatch or self._stopwatch).time(candidates, self._timed, CHEAP, fixed_tokens=FIXED_TOKENS, seed=self._seed)
        return timed["candidate" if bundle != reference else REFERENCE]

    def count_energy(self, bundle: Path, reference: Path) -> Energy | None:
        """Energy of a bundle beside the reference, in a few short windows; None where the study does not ask for it.

        Raises Rejected where the source refused the windows: such a trial has no figure.
        """
        if self._energy is None:
            return None
        candidates = {REFERENCE: Timed(reference)} | ({"candidate": Timed(bundle)} if bundle != reference else {})
        counted = meter(self._stopwatch, candidates, self._timed, self._energy, ENERGY_PROTOCOL, seed=self._seed)
        energy = counted["candidate" if bundle != reference else REFERENCE]
        if energy.figures is None or counted[REFERENCE].figures is None:
            raise Rejected(f"energy could not be counted: {energy.reason or counted[REFERENCE].reason}")
        return energy


def _gross_mj(energy: Energy) -> float:
    assert energy.figures is not None  # count_energy rejects what has none
    return energy.figures.gross_mj.value


def energy_on_one_scale(energy: Energy, reference_mj: float) -> Measurement:
    """The ratio to the reference, from windows next to each other, times the reference's own energy; see `on_one_scale`."""
    raw = energy.to_measurement()
    assert energy.figures is not None
    ratio = energy.figures.ratio
    if ratio is None or ratio.samples == (1.0,) * len(ratio.samples):  # the reference itself
        return raw
    ci95 = None if ratio.ci95 is None else (ratio.ci95[0] * reference_mj, ratio.ci95[1] * reference_mj)
    return replace(raw, value=ratio.value * reference_mj, ci95=ci95, detail=(*raw.detail, ("counted_mean", raw.value)))


def on_one_scale(latency: Latency, reference_ms: float) -> Measurement:
    """The ratio to the reference, timed side by side, times the reference's own latency: trials an hour apart can be compared.

    What the clock said in this trial stays in the detail as `clock_median`.
    """
    raw = latency.to_measurement()
    if latency.free.ratio_ci95 == (1.0, 1.0):  # the reference itself: its interval is that of its own median
        return raw
    low, high = latency.free.ratio_ci95
    return replace(
        raw,
        value=latency.free.ratio * reference_ms,
        ci95=(low * reference_ms, high * reference_ms),
        detail=(*raw.detail, ("clock_median", raw.value)),
    )


def spread_by_length(split: Split, count: int) -> Split:
    """`count` utterances spread evenly over the split in the order of their file sizes, so that short and long ones are among them."""
    ordered = sorted(split.utterances, key=lambda utterance: (utterance.audio.stat().st_size, utterance.id))
    if len(ordered) <= count:
        return split
    picks = [round((index + 0.5) * len(ordered) / count - 0.5) for index in range(count)]
    return Split(split.name, tuple(ordered[pick] for pick in picks))
