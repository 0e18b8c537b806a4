"""Trials that repeat a configuration, and seconds a proposal takes: every sampler on the quickstart's knobs, by a formula.

Each trial is asked for as the study's loop asks: with all that came before, one trial in `LANES` still being evaluated. The bars: no
duplicate in 1,000 trials (200 for gp), and less than half a second for the next trial at 2,000 trials with the default sampler. A proposal
of gp takes seconds, its 200 trials half an hour.
"""

import argparse
import time

import numpy as np

TRIALS, GP_TRIALS, LONG, LANES = 1_000, 200, 2_000, 4
LIMIT_S = 0.5
SAMPLERS = ("tpe", "nsga2", "nsga3", "random", "qmc", "gp")


def run(trials: int, gp_trials: int, long: int) -> None:
    """One line a sampler, then the bars."""
    from tests.benchmarks.bars import Bar, print_bars

    bars = []
    for name in SAMPLERS:
        count = gp_trials if name == "gp" else long if name == "tpe" else trials
        digests, seconds = propose(name, count)
        repeated = len(digests) - len(set(digests))
        last = seconds[-20:]
        print(f"  {name:8s} {count} trials: {repeated} duplicates; asking took {np.median(seconds):.3f} s, ", end="")
        print(f"of the last {len(last)} {np.median(last):.3f} s (most {max(last):.3f} s)", flush=True)
        bars.append(Bar(f"{name}: duplicates in {count} trials", repeated, 0, at_least=False, unit=""))
        if name == "tpe":
            bars.append(Bar(f"{name}: seconds for the next trial at {count}", max(last), LIMIT_S, at_least=False, unit="s"))
    print_bars("duplicates and proposals", bars)


def propose(name: str, count: int) -> tuple[list[str], list[float]]:
    """Digests of all trials of a study without a model, and the seconds that finding each took."""
    from paredown.search.proposer import Observation, Proposer
    from paredown.search.sampler import SamplerName
    from paredown.search.seeding import trial_rng
    from paredown.search.trial import Candidate
    from paredown.search.unseen import find_unseen
    from tests.search.bundled_toy import OBJECTIVES, make_space, values

    sampler: SamplerName = name  # type: ignore[assignment]  # one of SAMPLERS
    space, seed = make_space(), 0
    history: list[Observation] = []
    known: dict[str, Observation | None] = {}
    running: list[Candidate] = []
    resolved: dict[tuple[float, ...], str] = {}
    digests, seconds = [], []
    for index in range(count):
        began = time.perf_counter()
        pending = [one.knobs for one in running if one.knobs is not None]
        proposer = Proposer(space.knobs, OBJECTIVES, sampler, seed, count, history, pending, index)
        found = find_unseen(space, proposer, known, trial_rng(seed, index, purpose=1), resolved)
        seconds.append(time.perf_counter() - began)
        if found is None:
            raise RuntimeError(f"the space has far more than {count} configurations, {name} found none after {index}")
        digests.append(found.digest)
        known[found.digest] = None
        running.append(found)
        if len(running) == LANES:
            done = running.pop(0)
            figures = values(done.configuration)
            seen = Observation(done.knobs or (), figures, (-2.0 - figures[0],))
            known[done.digest] = seen
            history.append(seen)
    return digests, seconds


def main() -> None:
    """Run with the numbers of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--gp-trials", type=int, default=GP_TRIALS)
    parser.add_argument("--long", type=int, default=LONG, help="trials of the default sampler")
    options = parser.parse_known_args()[0]
    run(options.trials, options.gp_trials, options.long)


if __name__ == "__main__":
    main()
