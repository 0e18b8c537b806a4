"""Times candidates side by side until the interval is as narrow as asked or the time is spent.

A machine drifts: clocks, heat, neighbours. So candidates are never timed one after the other but utterance by utterance,
all of them in a new random order each time, with a reference among them. A drift then hits all alike, and the ratio to
the reference is taken between runs that lie next to each other.

A model is also a few percent faster or slower by where it lies in memory, for as long as it stays loaded. So a strict measurement loads
all candidates anew for each block of utterances, in random order, each while its predecessor is still there (whose pages it would get
again otherwise). The reference may also stand among the candidates under a second name (an A/A control): its interval must include 1.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from paredown.profilers.latency.conditions import Conditions, Stopped
from paredown.profilers.latency.drift import measure_drift
from paredown.profilers.latency.effort import Effort
from paredown.profilers.latency.summary import Visits, measure_width, summarize
from paredown.profilers.latency.timing import Latency
from paredown.profilers.latency.warmup import Run, Warmup, warm_up
from paredown.profilers.machine_load import MachineWatch

Clock = Callable[[], float]


@dataclass(frozen=True)
class Loaded:
    """A candidate, loaded: how it runs freely, and at a fixed number of tokens where that is to be timed.

    `stages`: milliseconds of each stage of the last free run, by name, as the candidate told them; asked when the clock stands.
    """

    free: Run
    fixed: Run | None = None
    stages: Callable[[], Mapping[str, float]] | None = None


Load = Callable[[], Loaded]


@dataclass(frozen=True)
class Subject:
    """What is timed: how each candidate is loaded, which one is the reference, and the utterances.

    `items`: utterances, numbered from 0; `seconds`: of audio of each, where known. `fixed_tokens`: the number that `Loaded.fixed` decodes,
    None where nothing is timed so. Raises ValueError on no utterance, an unknown reference or another number of durations.
    """

    loads: Mapping[str, Load]
    reference: str
    items: int
    seconds: Sequence[float] | None = None
    fixed_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.items < 1:
            raise ValueError(f"latency needs at least 1 utterance, got {self.items}")
        if self.reference not in self.loads:
            raise ValueError(f"the reference must be one of {', '.join(self.loads)}, got {self.reference!r}")
        if self.seconds is not None and (len(self.seconds) != self.items or not min(self.seconds) > 0):
            raise ValueError(f"every one of {self.items} utterances must have a duration above 0 s, got {list(self.seconds)}")

    @property
    def longest(self) -> int:
        return 0 if self.seconds is None else int(np.argmax(self.seconds))

    @property
    def shortest(self) -> int:
        return 0 if self.seconds is None else int(np.argmin(self.seconds))


def measure_latency(
    subject: Subject,
    effort: Effort,
    rng: np.random.Generator,
    *,
    cores: tuple[int, ...] | None = None,
    clock: Clock = time.perf_counter,
    watch: Callable[[], MachineWatch | None] = MachineWatch.now,
) -> dict[str, Latency]:
    """Times every candidate on every utterance, interleaved; lower is better. Returns the latency of all, the reference included.

    `cores`: what the process is pinned to, for the report. `clock` returns seconds and never runs backwards. `watch` reads who uses the
    machine. Raises ValueError where a candidate cannot run at the fixed number of tokens that is asked for.
    """
    began, before = clock(), watch()
    session = _Session(subject, effort, rng, clock)
    with _no_collection():
        stopped = session.run(began + effort.seconds)
    free, after = session.visits["free"], watch()
    durations = np.array(free.ms[subject.reference])
    conditions = Conditions(
        cores=cores,
        warmup_runs=sum(warmup.runs for warmup in session.warmups),
        steady=all(warmup.steady for warmup in session.warmups),
        loads=session.loads,
        drift=measure_drift(durations, *free.labels(), rng),
        others_share=None if before is None or after is None else after.others_since(before),
        seconds=clock() - began,
        width=session.width,
        stopped=stopped,
    )
    found = {
        name: Latency(summarize(free, name, subject.reference, subject.seconds, rng), None, None, conditions) for name in subject.loads
    }
    if (fixed := session.visits.get("fixed")) is None:
        return found
    timings = {name: summarize(fixed, name, subject.reference, subject.seconds, rng) for name in subject.loads}
    return {name: replace(latency, fixed=timings[name], fixed_tokens=subject.fixed_tokens) for name, latency in found.items()}


class _Session:
    """Loads, visits and what is known so far. `visits`: of each pass, "free" and, where asked for, "fixed"."""

    def __init__(self, subject: Subject, effort: Effort, rng: np.random.Generator, clock: Clock) -> None:
        self._subject, self._effort, self._rng, self._clock = subject, effort, rng, clock
        self._names = tuple(subject.loads)
        self._loaded: dict[str, Loaded] = {}
        self._order = _shuffled(subject.items, rng)
        self.visits = {kind: _empty(self._names) for kind in ("free", "fixed")[: 1 if subject.fixed_tokens is None else 2]}
        self.warmups: list[Warmup] = []
        self.loads = 0
        self.width: float | None = None

    def run(self, deadline: float) -> Stopped:
        """Blocks until there is a reason to stop. The interval is looked at where the number of blocks has doubled."""
        block, look = 0, self._effort.loads
        most = None if self._effort.most_repeats is None else self._effort.most_repeats * self._subject.items
        while True:
            if block and self._done >= self._subject.items and self._clock() >= deadline:  # before another load is made for nothing
                self._look()
                return (self._enough() if self._effort.width else None) or "time"
            if block == 0 or self._effort.loads > 1:
                self._load()
            if self._time_block(most, deadline):
                self._look()
                return (self._enough() if self._effort.width else None) or "time"
            block += 1
            if block == look:
                self._look()
                if (reason := self._enough()) is not None:
                    return reason
                look *= 2
            if most is not None and self._done >= most:
                self._look()
                return self._enough() or "repeats"

    @property
    def _done(self) -> int:
        return len(self.visits["free"].items)

    def _look(self) -> None:
        self.width = measure_width(self.visits, self._subject.reference, self._rng)

    def _enough(self) -> Stopped | None:
        wanted = self._effort.width
        if wanted is None:
            return "effort"
        if self.width is None or self.width <= wanted:
            return None if self.width is None else "narrow"
        narrowed = measure_width(self.visits, self._subject.reference, self._rng, by_repeats=True)
        return "utterances" if narrowed is not None and narrowed <= wanted / 2 else None

    def _load(self) -> None:
        """A new load of every candidate, warmed up; the one before is let go only when the new one is there."""
        for which in self._rng.permutation(len(self._names)).tolist():
            name = self._names[which]
            loaded = self._subject.loads[name]()
            if self._subject.fixed_tokens is not None and loaded.fixed is None:
                raise ValueError(f"candidate {name} must run at {self._subject.fixed_tokens} tokens to be timed so, it cannot")
            self._loaded[name] = loaded
            gc.collect()  # the predecessor, and what loading left behind; not while something is timed
            self.warmups.append(warm_up(loaded.free, self._subject.longest, self._subject.shortest, self._effort.warmup, self._clock))
        self.loads += 1

    def _time_block(self, most: int | None, deadline: float) -> bool:
        """Times the next utterances; whether the time was spent before all of them were."""
        for _ in range(self._effort.visits(self._subject.items)):
            if self._done >= self._subject.items and self._clock() >= deadline:
                return True
            if most is not None and self._done >= most:
                return False
            item = next(self._order)
            for kind, visits in self.visits.items():
                self._visit(kind, visits, item)
        return False

    def _visit(self, kind: str, visits: Visits, item: int) -> None:
        """All candidates on one utterance, in random order."""
        visits.items.append(item)
        visits.loads.append(self.loads)
        for which in self._rng.permutation(len(self._names)).tolist():
            name = self._names[which]
            loaded = self._loaded[name]
            run = loaded.free if kind == "free" else loaded.fixed
            assert run is not None
            begin = self._clock()
            decoded = run(item)
            visits.ms[name].append((self._clock() - begin) * 1000.0)
            visits.tokens[name].append(decoded)
            if kind == "free" and loaded.stages is not None:
                visits.stages[name].append(loaded.stages())


def _shuffled(items: int, rng: np.random.Generator) -> Iterator[int]:
    """Utterances without end, in a new random order each time round. No method: it would keep the session and its loads alive."""
    while True:
        yield from rng.permutation(items).tolist()


def _empty(names: Sequence[str]) -> Visits:
    return Visits(ms={name: [] for name in names}, tokens={name: [] for name in names}, stages={name: [] for name in names})


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection inside a timed run, as `timeit` does it. What is there already is left out of collections between loads."""
    was_on = gc.isenabled()
    gc.disable()
    gc.collect()  # what is dead would be left out too, and stay
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
