"""Where the randomness of a study comes from: its seed and the index of the trial, nothing else.

So a study that was killed and resumed draws from the same generators as one that ran through. What is drawn also follows from the
outcomes so far: equal seeds give equal studies only where the measurements are equal, and measured latencies never quite are.
"""

import numpy as np


def trial_rng(seed: int, index: int, purpose: int = 0) -> np.random.Generator:
    """The generator of one trial (`index` trials came before it); `purpose` keeps several generators of a trial apart."""
    return np.random.default_rng(np.random.SeedSequence((seed, index, purpose)))


def sampler_seed(seed: int, index: int) -> int:
    """Seed in [0, 2^32) for Optuna's sampler of one trial."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0])
