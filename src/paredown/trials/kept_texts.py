"""What the bundles of a study said on its search split, from the records of the user: read, never decoded, and without a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paredown.data import PREFIX, Split, open_data
from paredown.errors import BadInput
from paredown.profilers.fingerprint import Fingerprint
from paredown.search.joint import TARGET
from paredown.search.spec import StudySpec
from paredown.search.trial import Trial

Texts = Mapping[int, str]  # by place in the split


def read_texts(
    spec: StudySpec, identity: Mapping[str, Any], trials: Sequence[Trial], split: Split, folder: Path | None = None
) -> dict[int, Texts]:
    """What each of these trials said, by its number; a trial of which nothing is kept is absent.

    `identity`: what the study was made of. Raises BadInput where the records cannot be opened or the data is gone.
    """
    from paredown.trials.records import Records, hypotheses_key, utterance_digests  # scipy

    records, machine = Records(folder), machine_of(identity)
    if machine is None:
        return {}
    digests, analysis = utterance_digests(split), None
    found: dict[int, Texts] = {}
    for trial in trials:
        weights = trial.configuration.supernet or str(identity["model"])
        heard = None
        if trial.configuration.is_calibrated:
            from paredown.trials.calibrating import calibration_digest  # torch

            analysis = analysis or read_split(spec, "analysis")
            heard = calibration_digest(weights, analysis)
        known = records.hypotheses(hypotheses_key(weights, trial.digest, heard, machine, None, str(identity["model"])))
        texts = {place: known[digest].text for place, digest in enumerate(digests) if digest in known}
        if texts:
            found[trial.number] = texts
    return found


def machine_of(identity: Mapping[str, Any], device: str = "") -> Fingerprint | None:
    """The target's fingerprint as the study wrote it down, None where it did not. `device`: a further target's name ("cuda")."""
    prefix = f"{device} {TARGET}" if device else TARGET
    facts = {name.removeprefix(prefix): value for name, value in identity.items() if name.startswith(prefix)}
    versions = {name.removesuffix(" version"): facts.pop(name) for name in list(facts) if name.endswith(" version")}
    try:
        facts["instructions"] = tuple(str(facts["instructions"]).split())
        return Fingerprint(**facts, runtimes=tuple(versions.items()))
    except (KeyError, TypeError):
        return None


def read_split(spec: StudySpec, name: str, digest: str | None = None) -> Split:
    """A split of the study, checked to be the one that it used. Raises BadInput where it is gone or another one."""
    named = getattr(spec.data, name)
    if named is None and not spec.model.path.startswith(PREFIX):
        raise BadInput(f"the study of {spec.model.path} names no data.{name}")
    split = open_data(named if named is not None else f"{spec.model.path}/{name}")
    if digest is not None and split.digest != digest:
        raise BadInput(f"the {name} split is not the one that was studied: its digest is {split.digest[:12]}, not {digest[:12]}")
    return split
