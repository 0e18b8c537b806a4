"""Whether what the paper concludes holds here: claims about paired differences, and a sentence that gives their figures."""

from collections.abc import Sequence
from dataclasses import dataclass

from paredown.quality import Difference
from studies.reproduction.result import Verdict

SAME = "the same model"


@dataclass(frozen=True)
class Claim:
    """One part of a conclusion: what is claimed, whether our figures show it, and these figures."""

    what: str
    holds: bool
    found: str


def better(what: str, difference: Difference | None) -> Claim:
    """Holds if the interval of candidate minus other lies above 0; None: both are the same configuration."""
    if difference is None:
        return Claim(what, False, SAME)
    low, high = difference.ci95
    end = "" if low > 0 else ", the opposite" if high < 0 else ", no difference is shown"
    return Claim(what, low > 0, told(difference) + end)


def lower(what: str, difference: Difference | None, margin: float) -> Claim:
    """Holds if the interval of candidate minus other lies below -margin."""
    return Claim(what, difference is not None and difference.ci95[1] < -margin, f"{told(difference)}, beyond {margin:g}")


def no_worse(what: str, difference: Difference | None, margin: float) -> Claim:
    """Holds if the interval of candidate minus other lies above -margin."""
    return Claim(what, difference is None or difference.ci95[0] > -margin, f"{told(difference)}, margin {margin:g}")


def not_shown(what: str, difference: Difference | None) -> Claim:
    """Holds if no gain is shown."""
    return Claim(what, difference is None or difference.ci95[0] <= 0, told(difference))


def retained(what: str, difference: Difference | None, teacher: float, share: float) -> Claim:
    """Holds if so much of the teacher's score is left: the interval of candidate minus teacher, as shares, lies at `share` or above."""
    value, low, high = (0.0, 0.0, 0.0) if difference is None else (difference.value, *difference.ci95)
    left, least, most = (1.0 + each / teacher if teacher else 0.0 for each in (value, low, high))
    found = f"{100 * left:.1f} % [{100 * least:.1f}, {100 * most:.1f}]"
    return Claim(f"{what} keep {100 * share:.0f} % of the teacher's chrF++", least >= share, found)


def smaller(what: str, candidate_bytes: float, other_bytes: float, share: float) -> Claim:
    """Holds if the candidate takes less than the other's bytes by at least this share of them."""
    less = 1.0 - candidate_bytes / other_bytes
    found = f"{candidate_bytes / 1e6:.1f} of {other_bytes / 1e6:.1f} MB, {-100 * less:+.0f} %"
    return Claim(f"{what} {100 * share:.0f} % less", less >= share, found)


def told(difference: Difference | None) -> str:
    """A difference with its interval."""
    if difference is None:
        return SAME
    low, high = difference.ci95
    return f"{difference.value:+.1f} {'chrF++' if difference.metric == 'chrf++' else difference.metric.upper()} [{low:+.1f}, {high:+.1f}]"


def verdict_of(claims: Sequence[Claim]) -> Verdict:
    """All, some or none of the claims hold; without any nothing was run."""
    if not claims:
        return "not run"
    held = sum(claim.holds for claim in claims)
    return "holds" if held == len(claims) else "holds in part" if held else "does not hold"


def conclude(paper: str, claims: Sequence[Claim]) -> str:
    """One sentence: the paper's conclusion, and each part of it with our figures."""
    if not claims:
        return f"The paper concludes that {paper}; what it takes to say so was not run."
    parts = "; ".join(f"{claim.what}: {'yes' if claim.holds else 'no'} ({claim.found})" for claim in claims)
    return f"The paper concludes that {paper}; here {parts}."
