"""Table 7: how much out-of-domain data the last stage of Model B hears."""

from studies.iwslt2025.blocks import REMOVED, fewer
from studies.iwslt2025.campaign import NO_ADAPTERS, Campaign, Lines, open_campaign
from studies.iwslt2025.domains import PERCENT
from studies.iwslt2025.judging import Claim, better, conclude, not_shown, verdict_of
from studies.iwslt2025.rows import GERMAN_SCORES, make_rows, result, scores
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Figure, Result

UTTERANCES, STEPS = "out-of-domain utterances", "steps"
THOUSANDS = dict(zip(("10k", "50k", "80k", "100k"), PERCENT, strict=True))
PAPER: dict[str, dict[str, Figure]] = {
    "10k": {UTTERANCES: 10_000.0, **scores(37.83, 63.84, 48.90)},
    "50k": {UTTERANCES: 50_000.0, **scores(38.47, 64.09, 54.56)},
    "80k": {UTTERANCES: 80_000.0, **scores(40.24, 65.04, 54.75)},
    "100k": {UTTERANCES: 100_000.0, **scores(39.59, 65.14, 59.21)},
}
COLUMNS = (Column(UTTERANCES, 0), *GERMAN_SCORES, Column(STEPS, 0, ours_only=True))
SAYS = "more out-of-domain data helps up to 80,000 utterances, and 100,000 add little"


def make(bench: Bench) -> Result:
    """The table, not run without data to train on or QLoRA's packages."""
    with open_campaign(bench) as campaign:
        lines, extra = _lines(campaign) if campaign is not None else ({}, {})
        rows = make_rows(bench, campaign, PAPER, lines, extra)
        claims = _claims(campaign, lines) if campaign is not None and not campaign.adapters_missing else []
    notes = [
        "Sizes are 10, 50, 80 and 100 % of as many utterances as five minutes a row allow, each within the next. One pass each, as in the "
        "paper, so a larger size is also more steps: the table cannot tell data from training.",
        "Figures are those of base and adapters (merged, fp32); beam 1.",
    ]
    title = "amount of out-of-domain data"
    return result(bench, "Table 7", title, COLUMNS, rows=rows, verdict=verdict_of(claims), conclusion=conclude(SAYS, claims), notes=notes)


def _lines(campaign: Campaign) -> tuple[Lines, dict[str, dict[str, Figure]]]:
    if campaign.adapters_missing:
        return dict.fromkeys(PAPER, NO_ADAPTERS), {}
    keep, lines = fewer(campaign, "chrf++", REMOVED), Lines()
    extra: dict[str, dict[str, Figure]] = {}
    for name, percent in THOUSANDS.items():
        made = campaign.model_b(keep, percent)
        lines[name] = made
        extra[name] = {UTTERANCES: float(len(campaign.domains.taken(percent))), STEPS: float(made.trainings[-1].steps or 0)}
    campaign.announce("Table 7", lines)
    return lines, extra


def _claims(campaign: Campaign, lines: Lines) -> list[Claim]:
    return [
        better("80 % against 10 %", campaign.beside(lines, "80k", "10k")),
        not_shown("no gain of 100 % over 80 % is shown", campaign.beside(lines, "100k", "80k")),
    ]
