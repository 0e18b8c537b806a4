"""The card of a trial: every figure with how it came about, where its bytes and milliseconds go, and what each axis bought."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from paredown.profilers.measurement import Measurement
from paredown.report.ablation_table import bought
from paredown.report.front_rows import StudyFront
from paredown.report.page.numbers import short, tidy
from paredown.search.objective import Objective
from paredown.search.trial import Trial
from paredown.trials.stages import STAGES

if TYPE_CHECKING:
    from paredown.trials.ablation import Ablated
    from paredown.trials.anatomy import Anatomy

_SHARE = "share_"  # before a stage, in the detail of a latency
_LEFT_OUT = ("nats", *(_SHARE + stage for stage in STAGES))  # one figure for each utterance; what is shown as milliseconds


def make_card(trial: Trial, front: StudyFront, anatomy: "Anatomy | None", ablated: "Sequence[Ablated]" = ()) -> dict[str, Any]:
    """Plain JSON values; what is not known is absent. Figures of the search, of a strict measurement and on test stand side by side."""
    found = trial.outcome or trial.partial
    searched = {} if found is None else found.measurement_of
    point = None if front.final is None else front.final.find(trial)
    again = {} if point is None else point.figures
    names = list(dict.fromkeys([*(each.name for each in front.objectives), *searched, *again]))
    card: dict[str, Any] = {
        "digest": trial.digest,
        "figures": [
            {"name": name, "search": _figure(searched.get(name)), "again": _figure(again.get(name))}
            for name in names
            if name in searched or name in again
        ],
    }
    stages = _stages(front.objectives, searched | again)
    card |= {} if stages is None else {"stages": stages}
    verdict = _verdict(trial, front)
    card |= {} if verdict is None else {"verdict": verdict}
    card |= {"ablation": [_ablated(each, ablated[0], front) for each in ablated[1:]]} if ablated else {}
    return card if anatomy is None else card | {"anatomy": _anatomy(anatomy)}


def _figure(figure: Measurement | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    value = figure.to_dict()
    value["detail"] = {name: tidy(entry) for name, entry in value["detail"].items() if name not in _LEFT_OUT and entry is not None}
    value["target"] = None if figure.target is None else figure.target[:12]
    return value


def _stages(objectives: Sequence[Objective], figures: Mapping[str, Measurement]) -> dict[str, Any] | None:
    """Milliseconds by stage of the first latency that is an objective and whose runs told them."""
    for name in (each.name for each in objectives):
        detail = figures[name].detail_of if name in figures else {}
        shares = [share for stage in STAGES if isinstance(share := detail.get(_SHARE + stage), float)]
        if len(shares) == len(STAGES):
            spent = [[stage, short(share * figures[name].value)] for stage, share in zip(STAGES, shares, strict=True)]
            return {"name": name, "runs": figures[name].samples, "ms": spent}
    return None


def _ablated(without: "Ablated", whole: "Ablated", front: StudyFront) -> dict[str, Any]:
    return {"axis": without.axis, "bought": {name: short(value) for name, value in bought(without, whole, front.objectives).items()}}


def _verdict(trial: Trial, front: StudyFront) -> dict[str, Any] | None:
    """What `paredown confirm` found, None where it did not test this trial."""
    if front.record is None:
        return None
    for verdict in front.record.verdicts:
        if (verdict.trial, verdict.digest) == (trial.number, trial.digest):
            return {name: tidy(value) for name, value in asdict(verdict).items()}
    return None


def _anatomy(anatomy: "Anatomy") -> Mapping[str, Any]:
    return {
        "size_bytes": anatomy.size_bytes,
        "groups": [[name, size] for name, size in anatomy.group_bytes],
        "files": [[name, size] for name, size in anatomy.file_bytes],
        "axes": [[name, size] for name, size in anatomy.axis_bytes],
        "macs": [[name, count] for name, count in anatomy.stage_macs],
    }
