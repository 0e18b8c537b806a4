"""What earlier trials and studies computed of a configuration, in the terms of one study: by places in its search split."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from paredown.profilers.fingerprint import Fingerprint
from paredown.profilers.measurement import Measurement
from paredown.space.configuration import Configuration
from paredown.trials.anchor import BESIDE
from paredown.trials.decoding import Hypothesis
from paredown.trials.evaluation import FIXED_TOKENS, Evaluator
from paredown.trials.forced_loss import NAME, Losses, from_measurement, to_measurement
from paredown.trials.records import Records, hypotheses_key, measurement_key, utterance_digests

REFERENCE = "reference"  # in the detail of a kept cost, and only there: what the uncompressed model took on the scale of its study
EARLIER = "as recorded earlier"  # beside what a latency from the records was timed: not an anchor of this study
Costs = list[tuple[str, Measurement]]


class Kept:
    """Hypotheses and measurements of one study's model, data and machine, in the records of the user."""

    def __init__(
        self,
        full: Evaluator,
        records: Records,
        machine: Fingerprint,
        names: Sequence[str],
        energy: str | None = None,
        decoding: Fingerprint | None = None,
    ) -> None:
        """`names`: the costs that the study measures; `energy`: how energy is counted, None where it is not; `decoding`:
        what decodes (default `machine`).
        """
        self._decoding = decoding or machine
        self._full, self._records, self._machine, self._names, self._energy = full, records, machine, tuple(names), energy

    @cached_property
    def _digests(self) -> tuple[str, ...]:
        return utterance_digests(self._full.split)

    def hypotheses(self, configuration: Configuration) -> dict[int, Hypothesis]:
        """Those that are known, by place in the split."""
        known = self._records.hypotheses(self._key(configuration))
        return {place: known[digest] for place, digest in enumerate(self._digests) if digest in known}

    def keep(self, configuration: Configuration, found: Mapping[int, Hypothesis]) -> None:
        """From now on these are known, too."""
        self._records.add(self._key(configuration), {self._digests[place]: one for place, one in found.items()})

    def costs(self, configuration: Configuration) -> Costs | None:
        """Latencies, and energy where the study counts it, on the scale of this study; None where one of them was not measured before."""
        key = self._measured(configuration)
        found = [(name, self._records.measurement(key, name)) for name in self._names]
        costs: Costs = []
        for name, figure in found:
            if figure is None:
                return None
            before, scale = figure.detail_of.get(REFERENCE), self._scale(name)
            if not isinstance(before, int | float) or scale is None:
                return None
            costs.append((name, _rescaled(figure, scale / before)))
        return costs

    def keep_costs(self, configuration: Configuration, costs: Costs) -> None:
        """From now on these are known."""
        key = self._measured(configuration)
        for name, figure in costs:
            if (scale := self._scale(name)) is not None:
                self._records.add_measurement(key, name, replace(figure, detail=(*figure.detail, (REFERENCE, scale))))

    def losses(self, configuration: Configuration, items: str) -> Losses | None:
        """Teacher-forced losses on the items of this digest, None where they are not known."""
        figure = self._records.measurement(self._forced(configuration, items), NAME)
        return None if figure is None else from_measurement(figure)

    def keep_losses(self, configuration: Configuration, items: str, losses: Losses) -> None:
        """From now on these are known."""
        self._records.add_measurement(self._forced(configuration, items), NAME, to_measurement(losses))

    def _forced(self, configuration: Configuration, items: str) -> str:
        workshop = self._full.workshop
        protocol = {"forced on": items}
        weights, calibration = workshop.weights_of(configuration).digest, workshop.calibration_digest(configuration)
        target = self._machine.digest
        return measurement_key(weights, configuration.digest, calibration, target=target, protocol=protocol, teacher=workshop.model.digest)

    def _scale(self, name: str) -> float | None:
        """What the uncompressed model takes in this study, None where it was not measured."""
        kind, _, target = name.partition("@")
        reference = self._full.reference
        return {"cpu": reference.latency_ms, **dict(reference.others_ms)}[target] if kind == "latency_ms" else reference.energy_mj

    def _key(self, configuration: Configuration) -> str:
        workshop = self._full.workshop
        return hypotheses_key(
            weights=workshop.weights_of(configuration).digest,
            configuration=configuration.digest,
            calibration=workshop.calibration_digest(configuration),
            machine=self._decoding,
            search=None,
            teacher=workshop.model.digest,
        )

    def _measured(self, configuration: Configuration) -> str:
        workshop = self._full.workshop
        protocol = {
            "effort": "cheap",
            "utterances": [self._digests[place] for place, _ in self._full.timed_seconds],
            "fixed_tokens": FIXED_TOKENS,
            "reference": self._full.uncompressed.digest,
            "energy": self._energy,
        }
        weights, calibration = workshop.weights_of(configuration).digest, workshop.calibration_digest(configuration)
        target = self._machine.digest
        return measurement_key(weights, configuration.digest, calibration, target=target, protocol=protocol, teacher=workshop.model.digest)


def _rescaled(figure: Measurement, factor: float) -> Measurement:
    """On the scale of another study, which takes it for no figure of its own to time others beside."""
    around = None if figure.ci95 is None else (figure.ci95[0] * factor, figure.ci95[1] * factor)
    known = figure.detail_of
    del known[REFERENCE]
    known |= {BESIDE: EARLIER} if BESIDE in known else {}
    return replace(figure, value=figure.value * factor, ci95=around, detail=tuple(known.items()))
