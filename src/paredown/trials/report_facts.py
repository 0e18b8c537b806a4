"""What a report tells of a study beside its own folder: analyses, what bundles are made of, and what they said.

All of it is in the user's cache or follows from the model without building anything; what is not there is named, with how to get it. The
one thing that is computed is what the uncompressed model says of a dozen utterances, if the records lack it.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.data import PREFIX
from paredown.errors import BadInput
from paredown.search.hypervolume import UNCOMPRESSED
from paredown.search.spec import StudySpec
from paredown.search.trial import Trial
from paredown.trials.kept_analyses import KeptAnalyses, read_analyses
from paredown.trials.listening import LONGEST_S, Heard, choose_places, decode_baseline, seconds_of

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.trials.ablation import Ablated
    from paredown.trials.anatomy import Anatomy
    from paredown.trials.kept_texts import Texts
    from paredown.trials.teller import Teller

MOST = 40  # configurations that are taken apart, some 50 ms each
NEEDS_MODELS = "this needs the extra paredown[models] (see paredown doctor)"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class ReportFacts:
    """What was found. `anatomies`, `ablations` (measured): by number of the trial; `missing`: for each section that lacks something, why
    and how to get it.
    """

    analyses: KeptAnalyses = field(default_factory=KeptAnalyses)
    anatomies: Mapping[int, "Anatomy"] = field(default_factory=dict)
    heard: tuple[Heard, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    ablations: "Mapping[int, tuple[Ablated, ...]]" = field(default_factory=dict)


def gather_facts(
    spec: StudySpec,
    identity: Mapping[str, Any],
    trials: Sequence[Trial],
    chosen: Sequence[Trial],
    picks: Sequence[Trial],
    tell: Tell,
    ablating: "Teller | None" = None,
) -> ReportFacts:
    """Everything that is known of a study. Nothing is raised for what is missing: it is said.

    `chosen`: trials to take apart, the most interesting first; `picks`: those whose texts are shown. `tell` gets the slow steps.
    `ablating`: measure what each axis bought the first pick, telling this how it goes; minutes.
    """
    return _Gathering(spec, identity, trials, tell).run(chosen, picks, ablating)


class _Gathering:
    """One call of `gather_facts`; the model is loaded once, when something first needs it."""

    def __init__(self, spec: StudySpec, identity: Mapping[str, Any], trials: Sequence[Trial], tell: Tell) -> None:
        self._spec, self._identity, self._trials, self._tell = spec, identity, trials, tell
        self._missing: dict[str, str] = {}
        self._model: Model | None = None

    def run(self, chosen: Sequence[Trial], picks: Sequence[Trial], ablating: "Teller | None") -> ReportFacts:
        """Everything that is kept of these trials; `ablating`: who is told while the leading pick is measured again, if it is."""
        analyses, anatomies, heard = KeptAnalyses(), dict[int, "Anatomy"](), tuple[Heard, ...]()
        ablations: dict[int, tuple[Ablated, ...]] = {}
        with self._noting("sensitivity"):
            analyses = self._analyses()
        with self._noting("anatomy"):
            anatomies = self._anatomies(chosen)
        with self._noting("translations"):
            heard = self._heard(picks)
        if ablating is not None and picks:
            with self._noting("ablation"):
                from paredown.trials.ablation import ablate  # torch

                ablations[picks[0].number] = ablate(self._spec, self._loaded(), picks[0].configuration, ablating)
        return ReportFacts(analyses, anatomies, heard, self._missing, ablations)

    @contextmanager
    def _noting(self, section: str) -> Iterator[None]:
        """What cannot be had is noted, with why."""
        try:
            yield
        except BadInput as reason:
            self._missing[section] = str(reason)
        except ModuleNotFoundError:
            self._missing[section] = NEEDS_MODELS
        except OSError as error:
            self._missing[section] = f"{error.filename or 'a file'} cannot be read: {error.strerror}"

    def _analyses(self) -> KeptAnalyses:
        from paredown.trials.kept_texts import read_split

        split = read_split(self._spec, "analysis")
        supernet = next((one.configuration.supernet for one in self._trials if one.configuration.supernet), None)
        found = read_analyses(self._spec.space, supernet or str(self._identity["model"]), split.digest)
        command = f"paredown analyse {shlex.quote(self._spec.model.path)} --data {shlex.quote(split.name)}"
        absent = [name for name, there in (("bits", found.kl), ("blocks", found.orders), ("pruning", found.pruning)) if not there]
        if absent:
            self._missing["sensitivity"] = f"Not analysed, or no longer in the cache: {', '.join(absent)}. To get it: {command}"
        return found

    def _loaded(self) -> "Model":
        """Raises BadInput where it is gone, or another one."""
        if self._model is None:
            path = self._spec.model.path
            if not path.startswith(PREFIX) and not Path(path).exists():  # of a hub's model nothing is fetched for a report
                raise BadInput(f"the model {path} is not on this disk")
            from paredown.trials.study_run import studied_model  # torch

            self._tell(f"loading {path}")
            self._model = studied_model(self._spec, str(self._identity["model"]))
        return self._model

    def _anatomies(self, chosen: Sequence[Trial]) -> "dict[int, Anatomy]":
        model = self._loaded()
        from paredown.trials.anatomy import read_anatomies  # torch, as the model

        self._tell(f"what {min(len(chosen), MOST)} configurations are made of")
        found = read_anatomies(model, (trial.configuration for trial in chosen[:MOST]))
        return {trial.number: each for trial, each in zip(chosen, found, strict=False)}

    def _heard(self, picks: Sequence[Trial]) -> tuple[Heard, ...]:
        from paredown.trials.kept_texts import read_split, read_texts

        if all(trial.label == UNCOMPRESSED for trial in picks):
            raise BadInput(f"Nothing was picked{' but the uncompressed model' if picks else ''}.")
        split = read_split(self._spec, "search", self._identity.get("search split"))
        complete = [trial for trial in self._trials if trial.outcome is not None]
        texts = read_texts(self._spec, self._identity, complete, split)
        known = [trial for trial in picks if len(texts.get(trial.number, ())) == len(split) and trial.label != UNCOMPRESSED]
        if not known:
            raise BadInput("What the picks say is not in this user's records (kept while a staged study runs on this machine)")
        references = _references(split, self._spec)
        main, beside = known[0], self._beside(known[0], complete, texts)
        places = choose_places(texts[main.number], beside or dict(enumerate(references)), self._spec.search.seed)
        baseline = self._baseline(texts, complete, split, list(places))
        return tuple(
            Heard(
                split.utterances[place].id,
                split.utterances[place].audio,
                split.utterances[place].text if split.utterances[place].text != references[place] else None,
                references[place],
                baseline.get(place),
                tuple((trial.number, texts[trial.number][place]) for trial in known),
                differs,
            )
            for place, differs in places.items()
        )

    @staticmethod
    def _beside(main: Trial, complete: Sequence[Trial], texts: "Mapping[int, Texts]") -> "Texts | None":
        """What the best other trial that is known says: the uncompressed model, or who comes near to it."""
        others = [trial for trial in complete if trial.number in texts and trial.number != main.number and trial.outcome is not None]
        full = [trial for trial in others if len(texts[trial.number]) == len(texts[main.number])]
        best = max(full, key=lambda trial: trial.outcome.value("quality") if trial.outcome else 0.0, default=None)
        return None if best is None else texts[best.number]

    def _baseline(self, texts: "Mapping[int, Texts]", complete: Sequence[Trial], split: Any, places: Sequence[int]) -> "Texts":
        """From the records, else decoded where that is cheap."""
        from paredown.trials.kept_texts import machine_of

        plain = next((trial for trial in complete if trial.label == UNCOMPRESSED), None)
        known = texts.get(plain.number, {}) if plain is not None else {}
        if all(place in known for place in places):
            return known
        if seconds_of(split, places) > LONGEST_S:
            self._missing["translations"] = "What the uncompressed model says is not kept, and decoding it would take too long here."
            return known
        with self._noting("translations"):
            model = self._loaded()
            self._tell(f"what the uncompressed model says of {len(places)} utterances")
            return decode_baseline(model, split, places, machine_of(self._identity))
        return known


def _references(split: Any, spec: StudySpec) -> tuple[str, ...]:
    """What hypotheses are compared with: translations, or what is said where words are recognized."""
    spoken = spec.objectives.quality == "wer" or any(one.translation is None for one in split.utterances)
    return tuple((one.text if spoken else one.translation) or "" for one in split.utterances)
