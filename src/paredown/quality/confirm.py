"""Several claims tested in an order that was fixed beforehand, up to the first that fails.

Each is tested at the full level, and still the chance that any false claim is confirmed is at most that level: a false claim is only
reached if all before it passed, and the first false one passes by chance in at most 5 % of cases (fixed-sequence procedure; Maurer,
Hothorn and Lehmacher 1995). The order must not depend on the data of the test: from mild to aggressive.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Verdict(Protocol):
    """What a test gives."""

    @property
    def passed(self) -> bool: ...


Claim = TypeVar("Claim")
Found = TypeVar("Found", bound=Verdict)


@dataclass(frozen=True)
class Confirmation(Generic[Claim, Found]):
    """`tested`: claims with their verdicts, in order; all passed but the last one, perhaps. `untested`: claims after the first failure."""

    tested: tuple[tuple[Claim, Found], ...]
    untested: tuple[Claim, ...]

    @property
    def confirmed(self) -> tuple[Claim, ...]:
        """Claims that passed, in order."""
        return tuple(claim for claim, verdict in self.tested if verdict.passed)


def confirm_in_order(claims: Iterable[Claim], test: Callable[[Claim], Found]) -> Confirmation[Claim, Found]:
    """Tests claims in order, none after the first that fails."""
    remaining, tested = list(claims), []
    while remaining:
        claim = remaining.pop(0)
        verdict = test(claim)
        tested.append((claim, verdict))
        if not verdict.passed:
            break
    return Confirmation(tuple(tested), tuple(remaining))
