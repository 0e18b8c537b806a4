"""One model on one split: what its compressed versions say, how good that is, how large and how fast they are.

Hypotheses and latencies are kept in a folder by digest, trained weights in the user's cache: a run that was stopped goes on.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from paredown.data import Split
from paredown.models import Model
from paredown.profilers.fingerprint import read_fingerprint
from paredown.profilers.latency import Effort
from paredown.profilers.size import Ratios, measure_ratios, measure_size
from paredown.quality import Difference, Score, paired_difference, score
from paredown.recover.training_data import TrainingData
from paredown.space.configuration import TRANSFORMATIONS, Configuration, Decode
from paredown.space.training import Training
from paredown.trials.decoding import Decoder, Hypothesis, Search
from paredown.trials.evaluation import spread_by_length, uncompressed
from paredown.trials.operations import macs_of_bundle
from paredown.trials.recoveries import recovery_key
from paredown.trials.space import uniform_bits
from paredown.trials.teller import Teller
from paredown.trials.timing import REFERENCE, Stopwatch, Timed
from paredown.trials.workshop import Workshop

EFFORT = Effort(repeats=2, loads=4, width=0.06, seconds=40.0)  # of a row: an interval of some 6 %
TOY_EFFORT = Effort(warmup=1)
FIXED_TOKENS, TIMED_UTTERANCES = 16, 24


@dataclass(eq=False)
class Bench:
    """What tables take. `test`: the split that is scored; `analysis`: what analyses hear; `data`: what trains, None where it is not there.

    `folder`: where what was found is kept; `output`: where results and drawings go.
    `scale` shortens every training stage, for a run at toy size. `threads`: of the runtime while it is timed.
    """

    model: Model
    test: Split
    analysis: Split
    workshop: Workshop
    decoder: Decoder
    folder: Path
    output: Path
    tell: Teller
    data: TrainingData | None = None
    toy: bool = False
    threads: int = 1
    scale: float = 1.0

    @property
    def whole(self) -> Configuration:
        """The uncompressed model."""
        return uncompressed(self.model)

    def uniform(self, bits: int) -> Configuration:
        """Every layer at one width, round to nearest."""
        return uniform_bits(self.model.inventory(), bits, self.whole.decode)

    def greedy(self, configuration: Configuration) -> Configuration:
        """The same, decoded with a beam of 1."""
        return replace(configuration, decode=Decode(1, configuration.decode.length_bonus, configuration.decode.ctc_weight))

    def hypotheses(self, configuration: Configuration, split: Split | None = None, maxlenratio: float = 0.0) -> tuple[Hypothesis, ...]:
        """What its bundle says of a split (default: test), utterance by utterance."""
        split = self.test if split is None else split

        def decode() -> Any:
            with self.built(configuration) as bundle:
                return [asdict(each) for each in self.decoder.decode(bundle, split, Search(maxlenratio=maxlenratio))]

        found = self._kept("hypotheses", decode, self.model.digest, configuration.digest, split.digest, maxlenratio)
        return tuple(Hypothesis(each["text"], tuple(each["ids"]), each["hit_cap"]) for each in found)

    def texts(self, configuration: Configuration, split: Split | None = None) -> list[str]:
        return [each.text for each in self.hypotheses(configuration, split)]

    def references(self, split: Split | None = None) -> tuple[str, ...]:
        return (self.test if split is None else split).references(self.model.task)

    def score(self, metric: str, configuration: Configuration, split: Split | None = None) -> Score:
        """Corpus score with its interval."""
        return score(metric, self.texts(configuration, split), self.references(split), interval=True)

    def beside(self, metric: str, candidate: Configuration, other: Configuration, split: Split | None = None) -> Difference:
        """Score of the candidate minus the other's, paired."""
        return paired_difference(metric, self.texts(candidate, split), self.texts(other, split), self.references(split))

    def tokens(self, configuration: Configuration, split: Split | None = None) -> tuple[float, int]:
        """Mean tokens decoded, and how many utterances hit the length cap."""
        found = self.hypotheses(configuration, split)
        return sum(len(each.ids) for each in found) / len(found), sum(each.hit_cap for each in found)

    def size(self, configuration: Configuration) -> tuple[int, Ratios]:
        """Bytes of the bundle, and how many times smaller than fp32 it is, in three ways."""

        def measure() -> Any:
            with self.built(configuration) as bundle:
                return [measure_size(bundle).size_bytes, asdict(measure_ratios(bundle, self.model.inference_parameters))]

        size_bytes, ratios = self._kept("size", measure, self.model.digest, configuration.digest)
        return int(size_bytes), Ratios(**ratios)

    def macs(self, configuration: Configuration, seconds: float = 6.0, tokens: int = FIXED_TOKENS) -> int:
        """Multiply-accumulates of an utterance of so many seconds, decoded in so many steps."""

        def count() -> Any:
            with self.built(configuration) as bundle:
                return macs_of_bundle(bundle, seconds, tokens)

        return int(self._kept("macs", count, self.model.digest, configuration.digest, seconds, tokens))

    def latency(self, configuration: Configuration, reference: Configuration | None = None) -> dict[str, Any]:
        """The stable JSON of `latency_ms`, timed beside a reference (default: the uncompressed model), and the `reference`'s median."""
        other = self.whole if reference is None else reference
        timed = spread_by_length(self.test, TIMED_UTTERANCES)

        def time() -> Any:
            with self.built(other) as first, self.built(configuration) as second, Stopwatch(self.threads) as stopwatch:
                candidates = {REFERENCE: Timed(first), "candidate": Timed(second)}
                effort = TOY_EFFORT if self.toy else EFFORT
                found = stopwatch.time(candidates, timed, effort, fixed_tokens=FIXED_TOKENS, seed=0)
                return found["candidate"].to_dict() | {"reference": found[REFERENCE].to_dict()["median"]}

        machine = read_fingerprint(self.threads).digest
        protocol = (self.threads, FIXED_TOKENS, self.toy, machine)
        return dict(self._kept("latency", time, self.model.digest, configuration.digest, other.digest, timed.digest, *protocol))

    def stage(self, kind: str, steps: int, rate: float, seed: int, **settings: Any) -> Training:
        """A training stage on the train split. Raises ValueError where there is no train split, see `data`."""
        if self.data is None:
            raise ValueError("a training stage needs the train split")
        count = max(2, round(steps * self.scale))
        return Training(kind, self.data.digest, steps=count, rate=rate, seed=seed, warmup_steps=min(50, count // 4), **settings)  # type: ignore[arg-type]

    def trained(self, configuration: Configuration, *stages: Training, start: Configuration | None = None) -> Configuration:
        """The configuration trained before it is quantized, from its own weights or those that training made of another one."""
        first = () if start is None else (f"recovered:{recovery_key(self.model.digest, start)}",)
        return replace(configuration, schedule=(*first, *TRANSFORMATIONS[:-1], *stages, TRANSFORMATIONS[-1]))

    def built(self, configuration: Configuration) -> "Built":
        """The bundle for the length of a `with` block."""
        return Built(self.workshop, configuration, keep=configuration == self.whole)

    def _kept(self, kind: str, work: Callable[[], Any], *parts: Any) -> Any:
        """What was found before under the same circumstances, else what `work` gives, kept from now on."""
        name = hashlib.sha256(json.dumps([kind, *parts]).encode()).hexdigest()[:24]
        path = self.folder / kind / f"{name}.json"
        if not path.exists():
            value = work()
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".part")
            fresh.write_text(json.dumps(value))
            fresh.replace(path)
        return json.loads(path.read_text())

    def remember(self, kind: str, work: Callable[[], Any], *parts: Any) -> Any:
        """The same for a table's own work: plain JSON, found once for these `parts` of this model and analysis split."""
        return self._kept(kind, work, self.model.digest, self.analysis.digest, self.scale, *parts)


class Built:
    """A bundle that is there for the length of a `with` block, and removed afterwards unless `keep`."""

    def __init__(self, workshop: Workshop, configuration: Configuration, keep: bool) -> None:
        self._workshop, self._configuration, self._keep = workshop, configuration, keep

    def __enter__(self) -> Path:
        return self._workshop.build(self._configuration)

    def __exit__(self, *_: object) -> None:
        if not self._keep:
            self._workshop.discard(self._configuration)
