"""Whether sensitivities rank the parts of a model as measured losses of chrF do, on the analysis split; from the cache where it can be.

Each module group and each block is quantized alone, its bundle decodes as the model does, and the chrF that it loses is set beside the
summed sensitivity of its layers at the same width: Kendall's tau of the posteriors' divergence, and of that at the encoder's output (Eq. 7
of the lossless 4-bit Conformer paper as printed).
"""

import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np

from paredown.analysis.agreement import Agreement
from paredown.analysis.array_file import load_array, save_array
from paredown.analysis.kl import Measure
from paredown.data import Split
from paredown.models import Model
from paredown.trials.cached import cached
from paredown.trials.decoding import Decoder
from paredown.trials.losses import Part, measure_losses, rank_agreement
from paredown.trials.sensitivity import AnalysisSettings, analyse
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop

BITS = 3  # few enough that a group or block alone costs something
PARTS: tuple[Part, ...] = ("group", "block")
UTTERANCES = 100  # for losses; fewer translate most parts as well as the uncompressed model does
_KIND = "losses of parts"


@dataclass(frozen=True)
class PartLosses:
    """`losses`: chrF that is lost where one part alone is quantized, by its name, in network order; below 0 where chrF rose.

    `subset` says in words which utterances were used; `seconds` is how long it took.
    """

    losses: tuple[tuple[str, float], ...]
    subset: str
    seconds: float

    def save(self, path: Path) -> None:
        """Write one npz file, atomically; its folder must exist."""
        names, values = [name for name, _ in self.losses], np.array([value for _, value in self.losses], np.float64)
        save_array(path, _KIND, values, {"names": names, "subset": self.subset, "seconds": self.seconds})

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote; raises ValueError if the file is damaged, FileNotFoundError if there is none."""
        values, described = load_array(path, _KIND)
        try:
            losses = tuple(zip(described["names"], values.tolist(), strict=True))
            return cls(losses, described["subset"], float(described["seconds"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"a file of {_KIND} must be as paredown wrote it, {path} is not: {error}") from error


@dataclass(frozen=True)
class Ranked:
    """How a sensitivity ranks the parts: `found`, or None and the `reason` why there is nothing to rank."""

    measure: Measure
    part: Part
    found: Agreement | None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `tau` and `p_value` are null where there is nothing to rank."""
        figures = {"tau": None, "p_value": None, "count": None} if self.found is None else asdict(self.found)
        return {name: figures[name] for name in ("tau", "p_value", "count")} | {
            "sensitivity": self.measure,
            "part": self.part,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Agreements:
    """Kendall's tau of every sensitivity with the losses of every kind of part, and the losses themselves, in the order of `PARTS`."""

    ranked: tuple[Ranked, ...]
    losses: tuple[PartLosses, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "bits": BITS,
            "tau": [one.to_dict() for one in self.ranked],
            "losses": {part: dict(found.losses) for part, found in zip(PARTS, self.losses, strict=True)},
            "subset": "; ".join(found.subset for found in self.losses),
        }


def analyse_agreement(model: Model, split: Split, workshop: Workshop, decoder: Decoder, tell: Teller, utterances: int) -> Agreements:
    """Of `model` at 3 bits: sensitivities on so many `utterances` of the split, losses on at most 100.

    Raises BadInput without references.
    """
    measures: tuple[Measure, ...] = get_args(Measure)
    found = {}
    for measure in measures:
        settings = AnalysisSettings(kl_utterances=utterances, measure=measure, orders=())
        analysis = analyse(model, split, workshop, decoder, settings, tell).analysis
        found[measure] = analysis.kl[:, analysis.widths.index(BITS)]
    ranked, losses, layers = [], [], model.inventory().layers
    for part in PARTS:
        what = f"chrF that every {part} costs alone at {BITS} bits"
        listen = partial(_listen, workshop, decoder, tell, part)
        losses.append(cached(model, split, what, PartLosses, {"part": part, "bits": BITS}, UTTERANCES, listen, tell))
        for measure in measures:
            try:
                ranked.append(Ranked(measure, part, rank_agreement(measure, dict(losses[-1].losses), layers, found[measure], part)))
            except ValueError as error:  # one part alone, or losses that are all alike, as of a model that translates nothing
                ranked.append(Ranked(measure, part, None, str(error)))
    return Agreements(tuple(ranked), tuple(losses))


def _listen(workshop: Workshop, decoder: Decoder, tell: Teller, part: Part, subset: Split) -> PartLosses:
    began = time.monotonic()
    losses = measure_losses(workshop, decoder, subset, BITS, part, progress=lambda done, total: tell.progress(f"{part}s", done, total))
    return PartLosses(tuple(losses.items()), f"losses of {part}s on {len(subset)} utterances", time.monotonic() - began)
