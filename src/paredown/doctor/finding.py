"""One thing that was looked at on this machine."""

from dataclasses import dataclass
from typing import Literal, get_args

State = Literal["ok", "limited", "missing"]


@dataclass(frozen=True)
class Finding:
    """`found`: what is there, in a few words; `evidence`: where that was read or how it was tried; `enable`: the command, or what to do.

    `state`: "ok" needs nothing done, "limited" works with a restriction, "missing" does not work here. Where nothing can be done about
    a restriction, `enable` says so; it is empty only where the state is "ok".
    """

    section: str
    subject: str
    state: State
    found: str
    evidence: str
    enable: str = ""

    def __post_init__(self) -> None:
        if self.state not in get_args(State):
            raise ValueError(f"a finding is one of {', '.join(get_args(State))}, got {self.state!r}")
        if (self.state == "ok") != (not self.enable):
            raise ValueError(
                f"what is not ok says what to do, and nothing else does: got {self.state} with {self.enable!r} for {self.subject}"
            )

    def to_dict(self) -> dict[str, str]:
        """Plain JSON values."""
        return {
            "section": self.section,
            "subject": self.subject,
            "state": self.state,
            "found": self.found,
            "evidence": self.evidence,
            "enable": self.enable,
        }
