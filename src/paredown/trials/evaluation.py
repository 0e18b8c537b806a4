"""What a study measures of one configuration: quality of the bundle itself, latency beside the uncompressed one, bytes on disk."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from paredown.data import Split
from paredown.errors import BadInput
from paredown.profilers.energy.energy import Energy
from paredown.profilers.energy.protocol import CHEAP as ENERGY_PROTOCOL
from paredown.profilers.fingerprint import Fingerprint
from paredown.profilers.latency import CHEAP, Latency
from paredown.profilers.machine_lock import machine_share
from paredown.profilers.measurement import Measurement
from paredown.profilers.size import measure_size
from paredown.quality import paired_difference, score
from paredown.quality.metrics import counts_words_of, found_tokenizer, sign
from paredown.search.budget import METRICS
from paredown.search.outcome import Outcome, Rejected
from paredown.space.configuration import Configuration, Scheme
from paredown.space.operations import count_parameters
from paredown.trials.decoding import Decoder, Hypothesis
from paredown.trials.metering import EnergyRequest, meter
from paredown.trials.operations import macs_of_bundle
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
    """Latency and energy of the reference in an earlier run of the study, so that trials of both runs share one scale."""

    latency_ms: float | None = None
    energy_mj: float | None = None


NOTHING_KNOWN = Known()


@dataclass(frozen=True)
class Reference:
    """The uncompressed model as it was measured on this machine: what trials are compared with.

    `latency` is what was timed in this run, None where `latency_ms` was known from an earlier one; the same of energy, where it is counted.
    """

    bundle: Path
    found: tuple[Hypothesis, ...]
    latency_ms: float
    latency: Latency | None
    energy_mj: float | None = None
    energy: Energy | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(hypothesis.text for hypothesis in self.found)


class Evaluator:
    """Measures configurations of one model on one split. Latency is timed while the decoding processes rest.

    The first call measures the uncompressed bundle, whatever is asked: all differences and ratios are taken to it.
    `machine`: what latency is measured on. `energy`: how energy is counted, None where it is not. `known`: of the reference, from an
    earlier run.
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
    ) -> None:
        self._workshop, self._decoder, self._stopwatch = workshop, decoder, stopwatch
        self._split, self._metric, self._seed, self._machine = split, metric, seed, machine
        self._references = split.references(workshop.model.task)
        self._tokenizer = found_tokenizer(self._references)
        self._timed = spread_by_length(split, TIMED_UTTERANCES)
        self._energy, self._known = energy, known
        self._reference: Reference | None = None

    @property
    def reference(self) -> Reference:
        """The uncompressed bundle, built, decoded and timed when it is first asked for."""
        if self._reference is None:
            bundle = self._workshop.build(uncompressed(self._workshop.model))
            found = self._decoder.decode(bundle, self._split)
            latency = None if self._known.latency_ms else self.time(bundle, bundle)
            latency_ms = latency.free.median_ms if latency else float(self._known.latency_ms or 0.0)
            energy = None if self._known.energy_mj else self._count_reference(bundle)
            energy_mj = _gross_mj(energy) if energy else self._known.energy_mj
            self._reference = Reference(bundle, found, latency_ms, latency, energy_mj, energy)
        return self._reference

    def _count_reference(self, bundle: Path) -> Energy | None:
        """Raises BadInput where the source refuses it: that is no fault of a configuration, and without it no trial has a scale."""
        try:
            return self.count_energy(bundle, bundle)
        except Rejected as reason:
            raise BadInput(f"the uncompressed model must have a figure of energy first; {reason}") from None

    def __call__(self, configuration: Configuration, number: int) -> Outcome:
        """Build the bundle of `configuration`, measure it and throw it away."""
        reference = self.reference
        bundle = self._workshop.build(configuration)
        itself = bundle == reference.bundle
        try:
            found = reference.found if itself else self._decoder.decode(bundle, self._split)
            latency = (reference.latency if itself else None) or self.time(bundle, reference.bundle)
            energy = (reference.energy if itself else None) or self.count_energy(bundle, reference.bundle)
            size = measure_size(bundle).to_measurement()
            work = float(macs_of_bundle(bundle, MACS_AUDIO_S, FIXED_TOKENS))
        finally:
            if not itself:
                self._workshop.discard(configuration)
        with machine_share():  # a thousand resamples are seconds of work
            quality = self._quality(found, reference)
        here = self._machine.digest
        costs = [("latency_ms@cpu", replace(on_one_scale(latency, reference.latency_ms), target=here)), ("size_bytes", size)]
        stored = float(count_parameters(self._workshop.model.inventory(), configuration))
        costs.append(("params", Measurement(stored, "parameters")))
        costs.append(("macs", Measurement(work, "MACs", detail=(("audio_s", MACS_AUDIO_S), ("tokens", FIXED_TOKENS)))))
        if energy is not None and reference.energy_mj is not None:
            costs.append(("energy_mj@cpu", replace(energy_on_one_scale(energy, reference.energy_mj), target=here)))
        return Outcome((*quality, *costs))

    def _quality(self, found: tuple[Hypothesis, ...], reference: Reference) -> list[tuple[str, Measurement]]:
        """The difference to the uncompressed model in the study's metric, above 0 where it is better, and the scores themselves."""
        texts = [hypothesis.text for hypothesis in found]
        difference = paired_difference(self._metric, texts, reference.texts, self._references, tokenizer=self._tokenizer)
        value, (low, high) = difference.value, difference.ci95
        if sign(self._metric) < 0:  # errors: fewer are better
            value, low, high = 0.0 - value, 0.0 - high, 0.0 - low
        detail = (
            ("tokens", sum(len(hypothesis.ids) for hypothesis in found) / len(found)),
            ("length_ratio", sum(map(len, texts)) / max(1, sum(map(len, self._references)))),
            ("length_cap_hits", sum(hypothesis.hit_cap for hypothesis in found)),
            ("instructions", " ".join(self._machine.instructions)),  # int8 products saturate on x86 without VNNI
        )
        rows = [("quality", Measurement(value, METRICS[self._metric], (low, high), len(found), detail=detail))]
        other = "wer" if self._workshop.model.task == "asr" else "bleu"
        for metric in dict.fromkeys(("chrf", *([other] if counts_words_of(other, self._tokenizer) else []), self._metric)):
            name = METRICS[metric]
            result = score(metric, texts, self._references, tokenizer=self._tokenizer)
            rows.append((metric, Measurement(result.value, name, samples=len(found), detail=(("signature", result.signature),))))
        return rows

    def time(self, bundle: Path, reference: Path) -> Latency:
        """Latency of a bundle beside the reference, on a few utterances of the split, as often as a search can afford."""
        candidates = {REFERENCE: Timed(reference)} | ({"candidate": Timed(bundle)} if bundle != reference else {})
        timed = self._stopwatch.time(candidates, self._timed, CHEAP, fixed_tokens=FIXED_TOKENS, seed=self._seed)
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
