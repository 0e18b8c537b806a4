"""Who else used the machine during a part of a benchmark, in a line."""

from paredown.profilers.machine_load import TOLERATED, MachineWatch


def tell_others(began: MachineWatch | None, part: str) -> str:
    """One line about the time since `began`; what it says when the share is too large is that the figures mean nothing."""
    now = MachineWatch.now()
    share = None if began is None or now is None else now.others_since(began)
    if share is None:
        return f"  (who else used the machine during {part} is not known here)"
    verdict = "" if share <= TOLERATED else f", more than {100 * TOLERATED:.0f} %: DO NOT TRUST these figures"
    return f"  (others had {100 * share:.1f} % of the machine during {part}{verdict})"
