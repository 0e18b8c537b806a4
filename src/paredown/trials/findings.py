"""Everything that the axes of a study need to know of its model: the analyses, each of them from the cache where it was made before."""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from paredown.analysis.darts.alphas import SearchSettings
from paredown.analysis.darts.family import Family, eta_ladder
from paredown.analysis.heads import HeadDivergences
from paredown.analysis.resolved import Resolved
from paredown.analysis.result import Analysis
from paredown.data import Split
from paredown.errors import BadInput
from paredown.models import Model, load_model
from paredown.search.space_section import SpaceSection, WidthAxisSpec
from paredown.trials.correcting import correct
from paredown.trials.decoding import Decoder
from paredown.trials.families import find_family
from paredown.trials.head_analysis import analyse_heads
from paredown.trials.sensitivity import AnalysisSettings, analyse
from paredown.trials.supernets import check_shape, keep_supernet
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop

if TYPE_CHECKING:
    from paredown.analysis.darts.candidates import Kind
    from paredown.search.space_section import RankAxisSpec


@dataclass(frozen=True)
class Findings:
    """What was found; None for what no axis of the study asks. `seconds`: how long it took now, from the cache next to nothing.

    `corrected`: sensitivities around some averages. `supernet`: digest of the one that narrowed models take their weights from, None for
    the model's own weights.
    """

    analysis: Analysis
    seconds: float = 0.0
    heads: HeadDivergences | None = None
    widths: Family | None = None
    ranks: Family | None = None
    supernet: str | None = None
    corrected: tuple[Resolved, ...] = ()


def find(section: SpaceSection, model: Model, split: Split, workshop: Workshop, decoder: Decoder, tell: Teller) -> Findings:
    """What the axes of this section need, on the analysis split: of the model, or of the supernet, whose weights all trials then take.

    Raises BadInput for a supernet that cannot be used.
    """
    supernet = load_supernet(section.width, model)
    if supernet is None:
        return _find(section, model, split, workshop, decoder, tell)
    tell.line(f"weights: those of {section.width.supernet if section.width else supernet.path}")
    with Workshop(supernet) as own:
        return replace(_find(section, supernet, split, own, decoder, tell), supernet=supernet.digest)


def _find(section: SpaceSection, model: Model, split: Split, workshop: Workshop, decoder: Decoder, tell: Teller) -> Findings:
    began = time.monotonic()
    analysed = analyse(model, split, workshop, decoder, AnalysisSettings.for_space(section, model.inventory()), tell)

    def family(kind: "Kind", spec: "RankAxisSpec | None") -> Family | None:
        if spec is None:
            return None
        return find_family(model, split, workshop, decoder, kind, eta_ladder(*spec.eta), SearchSettings(spec.softmax), tell)

    corrected: tuple[Resolved, ...] = ()
    if section.bits is not None and section.bits.rounds:
        corrected = correct(section.bits, analysed.analysis, model, split, workshop, decoder, tell)
    return Findings(
        analysed.analysis,
        heads=analyse_heads(model, split, workshop, decoder, tell) if section.heads is not None else None,
        widths=family("width", section.width),
        ranks=family("rank", section.rank),
        corrected=corrected,
        seconds=time.monotonic() - began,
    )


def load_supernet(spec: WidthAxisSpec | None, model: Model) -> Model | None:
    """The supernet that the axis names, kept where its digest finds it again. Raises BadInput where it is none, or none of this model."""
    if spec is None or spec.supernet is None:
        return None
    supernet = load_model(spec.supernet)
    if not supernet.is_supernet:
        raise BadInput(f"width.supernet must be the folder of a supernet (with its supernet.json), got {spec.supernet}")
    check_shape(model, supernet)
    keep_supernet(supernet)
    return supernet
