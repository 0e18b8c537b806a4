"""What each axis bought: a configuration beside itself with one axis back at the uncompressed model (first paper, Fig. 5)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paredown.search.outcome import Outcome
from paredown.space.configuration import Configuration
from paredown.space.reset import reset_axes
from paredown.trials.calibrating import calibrate_workshop
from paredown.trials.evaluation import Evaluator, uncompressed
from paredown.trials.power import open_power
from paredown.trials.recoveries import Recovery
from paredown.trials.recovering import kept_training
from paredown.trials.study_run import energy_request, split_of
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.search.spec import StudySpec


@dataclass(frozen=True)
class Ablated:
    """A configuration without one axis, and what was measured of it; `axis` is "" for the configuration itself."""

    axis: str
    configuration: Configuration
    outcome: Outcome

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"without": self.axis, "measurements": {name: figure.to_dict() for name, figure in self.outcome.measurements}}


def ablate(spec: "StudySpec", model: "Model", configuration: Configuration, tell: Teller) -> tuple[Ablated, ...]:
    """Measures the configuration, then itself without each of its axes, all in this run and on the search split of the study.
    What its schedule trains is trained for each anew.

    `tell` gets a line before each. Raises BadInput where the study's data, targets or energy cannot be used here.
    """
    split, energy = split_of(spec, "search"), energy_request(spec)
    split.references(model.task)
    wanted = {"": configuration} | reset_axes(configuration, model.inventory(), uncompressed(model).decode)
    recovery = Recovery(kept_training(spec, model.task), tell)
    with open_power(spec, None) as power, Workshop(model, recovery) as workshop:
        if configuration.is_calibrated:
            calibrate_workshop(workshop, configuration.supernet, split_of(spec, "analysis"), power.decoder, tell)
        judged = (split, spec.objectives.quality, spec.search.seed)
        evaluate = Evaluator(workshop, power.decoder, power.stopwatch, *judged, power.machine, energy, others=power.others)
        found = []
        for number, (axis, one) in enumerate(wanted.items()):
            tell.line(f"without {axis}" if axis else "the configuration itself")
            found.append(Ablated(axis, one, evaluate(one, number)))
    return tuple(found)
