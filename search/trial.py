"""One configuration with its measurements, as the study's storage holds it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from paredown.search.outcome import Outcome
from paredown.space.configuration import Configuration

STOPPED_WITH = "stopped with the study"  # how the reason of a trial begins that was under way when something else ended the study
State = Literal["complete", "stopped", "rejected", "interrupted", "running"]


@dataclass(frozen=True)
class Candidate:
    """A configuration to try. `label` says where it comes from; `knobs` are (name, value) pairs, None where no knobs give it.

    Knob values that give a configuration close to this one may stand here, if the sampler is to learn from it.
    """

    label: str
    configuration: Configuration
    knobs: tuple[tuple[str, float], ...] | None = None

    @cached_property
    def digest(self) -> str:
        """That of the configuration, worked out once."""
        return self.configuration.digest


@dataclass(frozen=True)
class Trial:
    """`number`: counts every attempt, interrupted ones too. `seconds`: what the evaluation took.

    `outcome` is there exactly when the state is "complete", `partial` exactly when it is "stopped": what was measured before the search
    itself ended the evaluation early. `reason` where the state is "stopped", "rejected" or "interrupted".
    """

    number: int
    state: State
    candidate: Candidate
    outcome: Outcome | None = None
    seconds: float = 0.0
    reason: str | None = None
    partial: Outcome | None = None

    @property
    def configuration(self) -> Configuration:
        return self.candidate.configuration

    @property
    def digest(self) -> str:
        return self.candidate.digest

    @property
    def label(self) -> str:
        return self.candidate.label

    @property
    def was_stopped(self) -> bool:
        """Whether a user interrupted it, or what happened beside it: no fault of its own."""
        return self.state == "interrupted" and (self.reason or "").startswith(("KeyboardInterrupt", STOPPED_WITH))

    @property
    def is_finished(self) -> bool:
        """Whether it counts: an interrupted trial does not, and its configuration is tried again."""
        return self.state in ("complete", "stopped", "rejected")
