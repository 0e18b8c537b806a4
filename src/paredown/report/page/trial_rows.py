"""Every trial of a study in a few hundred bytes: figures, where it stands, and its configuration.

Bits are a string of one character for each layer ("4", "h": half precision, "-": fp32), in an order that stands once in the page; widths,
ranks and heads name modules by their place in a list.
"""

from math import isfinite
from typing import Any

from paredown.report.describe import describe
from paredown.report.front_rows import FrontEntry, StudyFront
from paredown.report.page.numbers import short, short_of
from paredown.search.outcome import Outcome
from paredown.search.trial import Trial
from paredown.search.units import format_value
from paredown.space.configuration import HALF_BITS, Configuration

CONFIGURATION = ("bits", "keep", "width", "rank", "heads", "zeros", "hop", "rate", "decode", "scheme", "trained", "supernet")


class TrialRows:
    """Rows of one study. `layers`: paths that bits are of; `paths`: modules that have a width, a rank or heads."""

    def __init__(self, front: StudyFront) -> None:
        self._objectives = front.objectives
        configurations = [trial.configuration for trial in front.trials]
        self.layers = sorted({path for one in configurations for path in one.bits_of}, key=_natural)
        modules = {path for one in configurations for pairs in (one.width, one.rank, one.heads) for path, _ in pairs}
        self.paths = sorted(modules, key=_natural)
        self._place = {path: place for place, path in enumerate(self.paths)}

    def row(self, trial: Trial, entry: FrontEntry | None, ended_s: float | None) -> dict[str, Any]:
        """`entry`: where it stands, None unless it is complete; `ended_s`: seconds of the study when it ended, None where not known."""
        value: dict[str, Any] = {"n": trial.number, "state": trial.state, "what": describe(trial), "label": trial.label}
        value |= {"seconds": short(trial.seconds)} if trial.seconds else {}
        value |= {"at": short(ended_s)} if ended_s is not None else {}
        value |= {"reason": trial.reason} if trial.reason else {}
        if entry is not None:
            value |= {"on_front": entry.point.on_front, "feasible": entry.point.feasible, "values": list(entry.point.values)}
            value |= (
                {"missed": [f"{miss.budget.name} by {format_value(short_of(miss.beyond), miss.budget.unit)}" for miss in entry.missed]}
                if entry.missed
                else {}
            )
            value |= {"alike": list(entry.point.indistinguishable)} if entry.point.indistinguishable else {}
        found = trial.outcome or trial.partial
        value |= self._figures(found) if found is not None else {}
        value |= {"part": self._seen(trial.partial)} if trial.partial is not None else {}
        return value | self._configuration(trial.configuration)

    def _figures(self, outcome: Outcome) -> dict[str, Any]:
        """Of every objective what is known: interval, samples, and whether it was measured ("m") or estimated ("e")."""
        known = [outcome.measurement_of.get(objective.name) for objective in self._objectives]
        return {
            "ci": [None if one is None or one.ci95 is None else [short(end) for end in one.ci95] for one in known],
            "samples": [None if one is None else one.samples for one in known],
            "how": "".join("-" if one is None else one.provenance[0] for one in known),
        }

    def _seen(self, partial: Outcome) -> list[float | None]:
        """Of every objective what was measured before the trial was stopped."""
        known = [partial.measurement_of.get(objective.name) for objective in self._objectives]
        return [None if one is None or not isfinite(one.value) else short(one.value) for one in known]

    def _configuration(self, one: Configuration) -> dict[str, Any]:
        bits = one.bits_of
        text = "".join(_letter(bits.get(path)) for path in self.layers)
        value: dict[str, Any] = {"bits": text} if text.strip("-") else {}
        value |= {"keep": {stack: list(kept) for stack, kept in one.keep}} if one.keep else {}
        for name in ("width", "rank", "heads"):
            pairs = getattr(one, name)
            value |= {name: [[self._place[path], size] for path, size in pairs]} if pairs else {}
        value |= {"zeros": [[group, share] for group, share in one.sparsity if share]} if any(share for _, share in one.sparsity) else {}
        heard, decode, scheme = one.input, one.decode, one.scheme
        value |= {"hop": heard.hop_samples} if heard.hop_samples is not None else {}
        value |= {"rate": [heard.sample_rate_hz, heard.variant]} if heard.sample_rate_hz is not None else {}
        value["decode"] = [decode.beam_size, decode.ctc_weight, decode.length_bonus]
        value["scheme"] = [scheme.kernel, scheme.method, scheme.activations]
        trainings = [stage.kind for stage in one.trainings]
        return value | ({"trained": trainings} if trainings else {}) | ({"supernet": one.supernet[:12]} if one.supernet else {})


def _letter(bits: int | None) -> str:
    return "-" if bits is None else "h" if bits == HALF_BITS else str(bits)


def _natural(path: str) -> tuple[tuple[int, int, str], ...]:
    """Order of the network as far as names tell it: the encoder first, blocks by number, attention before feed-forward."""
    rank = {"encoder": 0, "decoder": 1, "ctc": 2, "embed": 0, "encoders": 1, "decoders": 1, "output_layer": 2, "feed_forward_macaron": 0}
    rank |= {"self_attn": 1, "conv_module": 2, "src_attn": 3, "feed_forward": 4}
    return tuple(_key(part, rank) for part in path.split("."))


def _key(part: str, rank: dict[str, int]) -> tuple[int, int, str]:
    return (0, int(part), "") if part.isdigit() else (1, rank.get(part, 3), part)
