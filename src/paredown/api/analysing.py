"""`paredown.analyse`: what a model bears."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from paredown.api.telling import Tell, teller
from paredown.api.unguarded import script_hidden
from paredown.api.wording import names_arguments

if TYPE_CHECKING:
    from paredown.trials.analysing import Analysed, Part


@names_arguments
def analyse(
    model: str | Path,
    data: str | Path,
    *,
    parts: "Sequence[Part]" = ("bits", "blocks", "pruning", "heads"),
    utterances: int = 20,
    measure: Literal["posteriors", "encoder_output"] = "posteriors",
    by: Literal["chrf", "chrf++", "bleu", "wer", "loss"] = "chrf",
    metric: Literal["divergence", "chrf", "bleu", "wer"] = "divergence",
    agreement: bool = False,
    tell: Tell | None = None,
) -> "Analysed":
    """Sensitivity of every layer to its bit-width, of the model to blocks that go, to zeros in each module group and to attention heads.

    `data`: a manifest, a folder or "bundled:NAME/analysis"; `utterances` of it tell divergences (in nats, higher is more sensitive).
    `measure`: where bit-widths are heard; `by`: what blocks go by; `metric`: of the pruning curves; `agreement`: also how sensitivities
    rank parts beside the chrF that they cost. What was measured before comes from the cache.
    Raises BadInput for a model or data that cannot be used, and for a part that does not exist.
    """
    from paredown.data import open_data
    from paredown.errors import BadInput
    from paredown.models import load_model
    from paredown.trials.analysing import PARTS, analyse_model

    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise BadInput(f"a part is one of {', '.join(PARTS)}; got {unknown[0]!r}")
    whole, split = load_model(str(model)), open_data(str(data))
    with script_hidden():
        return analyse_model(
            whole,
            split,
            parts,
            utterances=utterances,
            measure=measure,
            by=by,
            metric=metric,
            agreement=agreement,
            tell=teller(tell),
        )
