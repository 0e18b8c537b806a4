"""Table 5: middle blocks against those that a greedy search takes, by two metrics."""

from studies.iwslt2025.blocks import REMOVED, iterative, kept_without, middle
from studies.iwslt2025.campaign import Campaign, Lines, open_campaign
from studies.iwslt2025.judging import Claim, better, conclude, verdict_of
from studies.iwslt2025.rows import SCORES, chinese, make_rows, result, scores
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Figure, Result

MIDDLE, OTHER, CHRF = "Middle", "Iterative, COMET (here BLEU)", "Iterative, chrF++"
PRUNED, TUNED, BLOCKS = "pruned", "+ FT", "blocks"
COLUMNS = (Column(BLOCKS), *SCORES)
_MIDDLE = "12 13 14 15 16 17 18 19"
_DE, _ZH = ("12 1 9 15 20 27 29 5", "13 3 20 9 29 1 19 27"), ("7 9 24 3 28 6 15 18", "7 25 3 4 29 15 26 20")
PAPER: dict[str, dict[str, Figure]] = {
    f"{MIDDLE}: {PRUNED}": {BLOCKS: _MIDDLE, **scores(0.13, 6.13, -162.44)},
    f"{MIDDLE}: {TUNED}": scores(30.81, 58.45, 31.95),
    f"{OTHER}: {PRUNED}": {BLOCKS: _DE[0], **scores(6.53, 31.15, -41.96)},
    f"{OTHER}: {TUNED}": scores(30.97, 59.67, 34.39),
    f"{CHRF}: {PRUNED}": {BLOCKS: _DE[1], **scores(10.78, 39.58, -44.40)},
    f"{CHRF}: {TUNED}": scores(32.16, 60.39, 39.08),
    f"EN-ZH: {MIDDLE}: {PRUNED}": {BLOCKS: _MIDDLE, **chinese(1.3, 3.8, -94.05)},
    f"EN-ZH: {MIDDLE}: {TUNED}": chinese(45.84, 40.48, 40.37),
    f"EN-ZH: Iterative, COMET: {PRUNED}": {BLOCKS: _ZH[0], **chinese(21.1, 27.25, 28.26)},
    f"EN-ZH: Iterative, COMET: {TUNED}": chinese(51.85, 46.36, 58.64),
    f"EN-ZH: Iterative, chrF: {PRUNED}": {BLOCKS: _ZH[1], **chinese(42.52, 36.92, 39.42)},
    f"EN-ZH: Iterative, chrF: {TUNED}": chinese(53.05, 47.23, 56.72),
}
SAYS = "blocks chosen one after the other by chrF++ are better ones to drop than those in the middle or those chosen by another metric"


def make(bench: Bench) -> Result:
    """The table, not run without data to train on."""
    with open_campaign(bench) as campaign:
        lines, extra = _lines(campaign) if campaign is not None else ({}, {})
        rows = make_rows(bench, campaign, PAPER, lines, extra)
        claims = _claims(campaign, lines) if campaign is not None else []
        notes = _notes(campaign) if campaign is not None else []
    title = "which decoder blocks go"
    return result(bench, "Table 5", title, COLUMNS, rows=rows, verdict=verdict_of(claims), conclusion=conclude(SAYS, claims), notes=notes)


def _lines(campaign: Campaign) -> tuple[Lines, dict[str, dict[str, Figure]]]:
    orders = {MIDDLE: middle(campaign, "decoder", REMOVED), OTHER: iterative(campaign, "bleu"), CHRF: iterative(campaign, "chrf++")}
    lines: Lines = {}
    extra: dict[str, dict[str, Figure]] = {}
    for name, order in orders.items():
        keep = kept_without(campaign, "decoder", order[:REMOVED])
        lines |= {f"{name}: {PRUNED}": campaign.pruned(keep), f"{name}: {TUNED}": campaign.recovered(keep)}
        extra[f"{name}: {PRUNED}"] = {BLOCKS: " ".join(map(str, order[:REMOVED]))}
    campaign.announce("Table 5", lines)
    return lines, extra


def _claims(campaign: Campaign, lines: Lines) -> list[Claim]:
    claims = []
    for state, words in ((PRUNED, "pruned"), (TUNED, "after fine-tuning")):
        for other, name in ((MIDDLE, "the middle"), (OTHER, "BLEU")):
            found = campaign.beside(lines, f"{CHRF}: {state}", f"{other}: {state}")
            claims.append(better(f"{words}, chrF++ against {name}", found))
    return claims


def _notes(campaign: Campaign) -> list[str]:
    told = {metric: " ".join(map(str, iterative(campaign, key))) for metric, key in (("chrF++", "chrf++"), ("BLEU", "bleu"))}
    return [
        f"Orders of the fine-tuned model's blocks, found on the {len(campaign.bench.analysis)} utterances of *analysis*, counted from 0: "
        f"by chrF++ {told['chrF++']}, by BLEU {told['BLEU']}. The paper chose on the split that it tests on. First and last block are no "
        f"candidates, so {REMOVED} of six are one of six sets.",
    ]
