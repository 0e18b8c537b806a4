"""Latency of several configurations at once: each beside the uncompressed model, utterance by utterance in random order.

Rows of one table are compared with each other, so they are timed in one session where they fit; it also loads the reference once for all.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from paredown.profilers.fingerprint import read_fingerprint
from paredown.profilers.latency import Effort
from paredown.space.configuration import Configuration
from paredown.trials.evaluation import spread_by_length
from paredown.trials.timing import REFERENCE, Stopwatch, Timed
from studies.reproduction.bench import FIXED_TOKENS, TIMED_UTTERANCES, TOY_EFFORT, Bench

TOGETHER = 5  # bundles that are loaded beside the reference
EFFORT = Effort(repeats=2, loads=3, seconds=90.0)
Timings = Mapping[str, Mapping[str, Any]]


def time_together(bench: Bench, configurations: Mapping[str, Configuration]) -> Timings:
    """The stable JSON of `latency_ms` of every configuration that is not the uncompressed one, by name, and of that as "reference".

    Sessions take `TOGETHER` of them in the order given; "reference" is that of the first. Kept by digest: the same configurations in the
    same order are timed once.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for names in _sessions([name for name, one in configurations.items() if one != bench.whole]):
        session = {name: configurations[name] for name in names}
        timed = _time(bench, session)
        found |= {name: timed[session[name].digest] for name in names}
        found.setdefault(REFERENCE, timed[REFERENCE])
    return found | {name: found[REFERENCE] for name, one in configurations.items() if one == bench.whole}


def _sessions(names: Sequence[str]) -> Iterator[Sequence[str]]:
    count = max(1, -(-len(names) // TOGETHER))
    length = -(-len(names) // count)  # even ones
    yield from (names[start : start + length] for start in range(0, len(names), max(1, length)))


def _time(bench: Bench, session: Mapping[str, Configuration]) -> dict[str, Any]:
    timed = spread_by_length(bench.test, TIMED_UTTERANCES)

    def work() -> Any:
        with ExitStack() as stack:
            bundles = {REFERENCE: stack.enter_context(bench.built(bench.whole))}
            bundles |= {one.digest: stack.enter_context(bench.built(one)) for one in session.values()}
            stopwatch = stack.enter_context(Stopwatch(bench.threads))
            candidates = {name: Timed(bundle) for name, bundle in bundles.items()}
            effort = TOY_EFFORT if bench.toy else EFFORT
            found = stopwatch.time(candidates, timed, effort, fixed_tokens=FIXED_TOKENS, seed=0)
            return {name: latency.to_dict() for name, latency in found.items()}

    machine = read_fingerprint(bench.threads).digest
    protocol = (bench.threads, FIXED_TOKENS, bench.toy, machine)
    return dict(bench.remember("together", work, [one.digest for one in session.values()], timed.digest, *protocol))
