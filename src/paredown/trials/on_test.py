"""What every look at *test* takes: a split that nothing was chosen on, codes calibrated as the study did, and a bundle decoded once."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from paredown.data import Split
from paredown.errors import BadInput
from paredown.search.spec import StudySpec
from paredown.space.configuration import Configuration
from paredown.trials.calibrating import calibrate_workshop
from paredown.trials.decoding import Decoder, Hypothesis
from paredown.trials.study_run import split_of
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop


def check_unseen(test: Split, spec: StudySpec, identity: Mapping[str, Any], purpose: str) -> None:
    """Raises BadInput if trials were chosen on `test` or trained with it. `purpose`: "no loss is confirmed", say."""
    used = {name: identity.get(f"{name} split") for name in ("search", "train", "other")}
    with suppress(BadInput, OSError):  # not on this disk any more
        used["analysis"] = split_of(spec, "analysis").digest
    for name, digest in used.items():
        if test.digest == digest:
            raise BadInput(f"{purpose} on other data than trials were chosen on or trained with, {test.name} is the {name} split")


def calibrate_as_studied(spec: StudySpec, chosen: Sequence[Configuration], workshop: Workshop, decoder: Decoder, tell: Teller) -> None:
    """What the calibrated method takes, where one of the configurations was made with it."""
    if any(configuration.is_calibrated for configuration in chosen):
        supernet = next((one.supernet for one in chosen if one.supernet is not None), None)  # a study has one at most
        calibrate_workshop(workshop, supernet, split_of(spec, "analysis"), decoder, tell)


def decode_once(workshop: Workshop, decoder: Decoder, configuration: Configuration, split: Split) -> tuple[Hypothesis, ...]:
    """What its bundle says of the split; the bundle is thrown away."""
    bundle = workshop.build(configuration)
    try:
        return decoder.decode(bundle, split)
    finally:
        workshop.discard(configuration)
