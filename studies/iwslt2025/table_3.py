"""Table 3: middle blocks dropped from encoder and decoder, or from the decoder alone."""

from studies.iwslt2025.blocks import REMOVED, count_blocks, kept_without, middle
from studies.iwslt2025.campaign import Campaign, Lines, open_campaign
from studies.iwslt2025.judging import better, conclude, verdict_of
from studies.iwslt2025.rows import COSTS, GERMAN_SCORES, make_rows, result, scores
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Figure, Result

BOTH, DECODER = "encoder and decoder, fine-tuned", "decoder alone, fine-tuned"
PAPER: dict[str, dict[str, Figure]] = {
    BOTH: {"encoder": "24/32", "decoder": "24/32", **scores(26.44, 54.67, 13.90, 6.62, 13.24)},
    DECODER: {"encoder": "32/32", "decoder": "24/32", **scores(30.81, 58.45, 31.95, 6.78, 13.55)},
}
COLUMNS = (Column("encoder"), Column("decoder"), *GERMAN_SCORES, *COSTS)
FROM_ENCODER = 2  # of eight: a quarter, as in the paper
SAYS = "dropping blocks of the decoder alone is better than dropping blocks of both"


def make(bench: Bench) -> Result:
    """The table, not run without data to train on."""
    with open_campaign(bench) as campaign:
        lines, extra = _lines(campaign) if campaign is not None else ({}, {})
        rows = make_rows(bench, campaign, PAPER, lines, extra)
        claims = [better("decoder alone minus both", campaign.beside(lines, DECODER, BOTH))] if campaign is not None else []
        notes = _notes(campaign) if campaign is not None else []
    title = "blocks of encoder and decoder"
    return result(bench, "Table 3", title, COLUMNS, rows=rows, verdict=verdict_of(claims), conclusion=conclude(SAYS, claims), notes=notes)


def _lines(campaign: Campaign) -> tuple[Lines, dict[str, dict[str, Figure]]]:
    encoder, decoder = count_blocks(campaign, "encoder"), count_blocks(campaign, "decoder")
    kept_decoder = kept_without(campaign, "decoder", middle(campaign, "decoder", REMOVED))
    kept_encoder = kept_without(campaign, "encoder", middle(campaign, "encoder", FROM_ENCODER))
    lines: Lines = {BOTH: campaign.recovered((*kept_decoder, *kept_encoder)), DECODER: campaign.recovered(kept_decoder)}
    campaign.announce("Table 3", lines)
    left = f"{decoder - REMOVED}/{decoder}"
    both: dict[str, Figure] = {"encoder": f"{encoder - FROM_ENCODER}/{encoder}", "decoder": left}
    return lines, {BOTH: both, DECODER: {"encoder": f"{encoder}/{encoder}", "decoder": left}}


def _notes(campaign: Campaign) -> list[str]:
    blocks = {stack: list(middle(campaign, stack, count)) for stack, count in (("decoder", REMOVED), ("encoder", FROM_ENCODER))}
    return [
        f"The blocks in the middle go: decoder {blocks['decoder']}, encoder {blocks['encoder']}, counted from 0; in the paper 12 to 19.",
        "Rows are not equal in size, there or here: dropping blocks of both takes more away (1 % of the paper's model, far more of ours).",
    ]
