"""Rows of all tables: what the paper gives for a line, and what the configuration of that line gives here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paredown.space.configuration import Configuration
from paredown.space.operations import count_parameters
from paredown.space.training import ADAPTERS
from paredown.trials.recoveries import recovery_folder, recovery_key
from studies.iwslt2025.campaign import NO_ADAPTERS, NO_TRAIN, Campaign, Lines, timed
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Figure, Result, Row

STUDY, CHINESE = "IWSLT 2025", "EN-ZH: "
METRICS = {"BLEU": "bleu", "chrF": "chrf", "chrF++": "chrf++"}
SCORES = (Column("BLEU", 2), Column("chrF", 2), Column("chrF++", 2), Column("COMET", 2))
GERMAN_SCORES = (SCORES[0], Column("chrF", 2, ours_only=True), *SCORES[2:])  # where the paper has no chrF
COSTS = (Column("parameters"), Column("storage"), Column("bundle, MB", 2, ours_only=True))
NO_COMET, NO_CHINESE = "not run", "no English-Chinese model is bundled"
MB, MILLION = 1e6, 1e6
REMEDIES = {
    NO_TRAIN: "python -m studies.bundled_model.train_split makes it, --train names another",
    NO_ADAPTERS: "pip install 'paredown[recover]'",
}
Paper = Mapping[str, Mapping[str, Figure]]
Extra = Mapping[str, Mapping[str, Figure]]


@dataclass(frozen=True)
class Adapters:
    """Bytes of base and adapters as the paper counts them, and the share of the parameters that is trained."""

    base_bytes: int
    adapter_bytes: int
    trainable: int
    parameters: int
    nf4_error: float


def scores(
    bleu: float, chrf_plus: float, comet: float, parameters: float | None = None, storage_gb: float | None = None
) -> dict[str, Figure]:
    """A line of English-German figures; billions of parameters and decimal gigabytes where the paper prints them."""
    return {"BLEU": bleu, "chrF++": chrf_plus, "COMET": comet, **costs(parameters, storage_gb)}


def chinese(bleu: float, chrf: float, comet: float, parameters: float | None = None, storage_gb: float | None = None) -> dict[str, Figure]:
    """A line of English-Chinese figures."""
    return {"BLEU": bleu, "chrF": chrf, "COMET": comet, **costs(parameters, storage_gb)}


def costs(parameters: float | None, storage_gb: float | None) -> dict[str, Figure]:
    """Parameters and storage as the paper prints them."""
    found: dict[str, Figure] = {} if parameters is None else {"parameters": f"{parameters:.2f} B"}
    return found if storage_gb is None else {**found, "storage": f"{storage_gb:.2f} GB"}


def make_rows(bench: Bench, campaign: Campaign | None, paper: Paper, lines: Lines, extra: Extra | None = None) -> tuple[Row, ...]:
    """A row for every line of ours, in their order, then for those of the paper that are not among them.

    `lines`: configurations, or why there is none; a line of the paper that is absent needs the train split, or another model.
    `extra`: further figures of ours, by line and column.
    """
    found = []
    for name in (*lines, *(name for name in paper if name not in lines)):
        line, printed = lines.get(name, NO_CHINESE if name.startswith(CHINESE) else NO_TRAIN), paper.get(name, {})
        if isinstance(line, str):
            found.append(Row(name, printed, not_run=line))
        else:
            found.append(make_row(campaign.bench_of(line) if campaign else bench, name, printed, line, (extra or {}).get(name, {})))
    return tuple(found)


def make_row(bench: Bench, name: str, paper: Mapping[str, Figure], configuration: Configuration, extra: Mapping[str, Figure]) -> Row:
    """Scores on *test* with their intervals, parameters and bytes of one configuration, made now where it was not before."""
    bench.tell.line(f"  {name}")
    seconds = timed(bench, configuration, tuple(METRICS.values()))
    found = {column: bench.score(metric, configuration) for column, metric in METRICS.items()}
    intervals = {column: each.ci95 for column, each in found.items() if each.ci95 is not None}
    size_bytes, _ = bench.size(configuration)
    ours: dict[str, Figure] = {column: each.value for column, each in found.items()}
    ours |= {"COMET": NO_COMET, "parameters": f"{count_parameters(bench.model.inventory(), configuration) / MILLION:.2f} M"}
    ours["storage"] = f"{stored_bytes(bench, configuration) / MB:.2f} MB"
    return Row(name, paper, {**ours, "bundle, MB": size_bytes / MB, **extra}, intervals, seconds=seconds)


def stored_bytes(bench: Bench, configuration: Configuration) -> float:
    """Bytes as the paper counts them: of the weight file, or of base and adapters where those were trained last and not rounded again."""
    adapters = adapters_of(bench, configuration)
    if adapters is None or configuration.bits:
        return bench.model.inference_parameters * 4 / bench.size(configuration)[1].weight_bytes
    return float(adapters.base_bytes + adapters.adapter_bytes)


def adapters_of(bench: Bench, configuration: Configuration) -> Adapters | None:
    """What its last stage says of its adapters, None where that trained none."""
    if not configuration.trainings or configuration.trainings[-1].kind not in ADAPTERS:
        return None
    key = recovery_key(bench.model.digest, configuration)

    def read() -> Any:
        return json.loads((recovery_folder(key) / "recovery.json").read_text(encoding="utf-8"))["about"]["adapters"]

    told = bench.remember("adapters", read, key)
    return Adapters(*(told[name] for name in ("base_bytes", "adapter_bytes", "trainable", "parameters", "nf4_error")))


def describe_adapters(bench: Bench, configuration: Configuration) -> str:
    """A note on what the adapters weigh."""
    found = adapters_of(bench, configuration)
    assert found is not None
    share = 100 * found.trainable / found.parameters
    return (
        f"QLoRA trains {found.trainable / MILLION:.2f} M numbers beside {found.parameters / MILLION:.2f} M frozen ones ({share:.0f} %; the "
        "paper 2.41 %): rank 64 is much for a narrow model. As the paper counts, base in NF4 (embeddings, convolutions and what only "
        f"training uses in float32) and adapters in float32, {found.base_bytes / MB:.2f} + {found.adapter_bytes / MB:.2f} MB; NF4 moves "
        f"weights by {100 * found.nf4_error:.1f} %"
    )


def result(bench: Bench, place: str, title: str, columns: Sequence[Column], **rest: Any) -> Result:
    """A table of this study with what holds for all of them, and how to run what was not."""
    reasons = {row.not_run for row in rest["rows"]}
    missing = [f"{reason[0].upper()}{reason[1:]}: {remedy}." for reason, remedy in REMEDIES.items() if reason in reasons]
    return Result(
        STUDY,
        place,
        title,
        tuple(columns),
        notes=(*rest.pop("notes", ()), *COMMON, *missing),
        settings={"beam": 1.0, "scale": bench.scale},
        **rest,
    )


COMMON = (
    "The bundled model was trained on the whole train split, which both domains are drawn from: fine-tuning the whole model can gain "
    "little here; recovering a compressed one is the task that the paper has.",
    "All decode greedily, as in the paper. Storage is that of weight files (decimal units; ours in float32, the paper's in bfloat16), of "
    "QLoRA base and adapters; bundles hold graphs, tokens and manifest too. COMET needs a model that is not here.",
)
