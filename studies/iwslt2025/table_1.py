"""Table 1: the model quantized to 4 bits with adapters (Model A)."""

from paredown.space.training import Mixture
from studies.iwslt2025.campaign import NO_ADAPTERS, Campaign, Lines, open_campaign
from studies.iwslt2025.judging import Claim, better, conclude, smaller, told, verdict_of
from studies.iwslt2025.rows import COSTS, SCORES, chinese, describe_adapters, make_rows, result, scores, stored_bytes
from studies.reproduction.bench import Bench
from studies.reproduction.result import Result

BASE, TUNED, ADAPTED, TAUGHT = "Baseline", "+ Full Fine-tuning", "+ QLoRA Fine-tuning", "+ Knowledge Distillation"
AGAIN = "stored at 4 bits again"
PAPER = {
    BASE: scores(22.96, 49.88, 8.61, 8.40, 16.79),
    TUNED: scores(39.28, 65.27, 56.32),
    ADAPTED: scores(41.52, 66.25, 53.47, 4.95, 9.64),
    TAUGHT: scores(43.25, 68.02, 59.36),
    f"EN-ZH: {BASE}": chinese(38.73, 32.53, 17.38, 8.40, 16.79),
    f"EN-ZH: {TUNED}": chinese(58.54, 52.54, 65.97),
    f"EN-ZH: {ADAPTED}": chinese(57.65, 51.08, 65.77, 4.95, 9.64),
    f"EN-ZH: {TAUGHT}": chinese(59.60, 53.94, 68.42),
}
LESS = 0.4
SAYS = "QLoRA with knowledge distillation beats the baseline, full fine-tuning and QLoRA alone at 40 % less storage"


def make(bench: Bench) -> Result:
    """The table, whatever of it can be made."""
    with open_campaign(bench) as campaign:
        lines = _lines(bench, campaign)
        rows = make_rows(bench, campaign, PAPER, lines)
        claims = _claims(campaign, lines) if campaign is not None and not campaign.adapters_missing else []
        notes = _notes(campaign, lines) if campaign is not None else []
    return result(
        bench,
        "Table 1",
        "4-bit QLoRA",
        (*SCORES, *COSTS),
        rows=rows,
        verdict=verdict_of(claims),
        conclusion=conclude(SAYS, claims),
        notes=notes,
    )


def _lines(bench: Bench, campaign: Campaign | None) -> Lines:
    if campaign is None:
        return {BASE: bench.greedy(bench.whole)}
    lines: Lines = {BASE: campaign.whole, TUNED: campaign.tuned}
    for name, mixture in ((ADAPTED, Mixture()), (TAUGHT, Mixture(1, 1))):
        if campaign.adapters_missing:
            lines[name] = NO_ADAPTERS
        else:
            made = campaign.adapted(mixture)
            lines |= {name: made, f"{name}, {AGAIN}": campaign.at_four_bits(made)}
    campaign.announce("Table 1", lines)
    return lines


def _claims(campaign: Campaign, lines: Lines) -> list[Claim]:
    others = (("the baseline", BASE), ("full fine-tuning", TUNED), ("QLoRA alone", ADAPTED))
    claims = [better(f"distilled against {name}", campaign.beside(lines, TAUGHT, other)) for name, other in others]
    taught, base = lines[TAUGHT], lines[BASE]
    if isinstance(taught, str) or isinstance(base, str):
        return claims
    stored = stored_bytes(campaign.bench, taught), stored_bytes(campaign.bench, base)
    return [*claims, smaller("storage of base and adapters", stored[0], stored[1], LESS)]


def _notes(campaign: Campaign, lines: Lines) -> list[str]:
    bench, taught = campaign.bench, lines[TAUGHT]
    gained = bench.beside("chrf++", campaign.tuned, campaign.whole, bench.analysis)
    notes = [
        f"The teacher is the uncompressed model, not the fine-tuned one: on *analysis* fine-tuning moves it by {told(gained)}. Its "
        "hypotheses are those of a beam of 5; those that repeat the reference are left out."
    ]
    if not isinstance(taught, str):
        notes += [
            describe_adapters(bench, taught) + ".",
            "Adapters are merged into the dequantized base, which computes what base and adapters do. Rounding the sum to 4 bits (all "
            "layers, a scale for each channel, computed in int8) makes another model, a row of its own with the bytes of its weight file: "
            f"here {told(campaign.beside(lines, f'{TAUGHT}, {AGAIN}', TAUGHT))}.",
        ]
    count = "The paper's 4.95 B parameters read like a count of NF4's bytes, of two weights each; quantizing removes no parameter here."
    return [*notes, count]
