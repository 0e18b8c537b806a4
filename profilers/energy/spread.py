"""Mean, standard deviation and interval of a few repeats."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit


@dataclass(frozen=True)
class Spread:
    """`value`: the mean; `sd`: of the samples (n - 1); `ci95`: Student's t. Both None with one sample: nothing is known of the spread."""

    value: float
    sd: float | None
    ci95: tuple[float, float] | None
    samples: tuple[float, ...]

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Spread":
        """Raises ValueError on no sample, or one that is no number."""
        if not samples or not all(math.isfinite(sample) for sample in samples):
            raise ValueError(f"a spread needs at least 1 finite sample, got {list(samples)}")
        value, count = float(np.mean(samples)), len(samples)
        if count == 1:
            return cls(value, None, None, tuple(samples))
        sd = float(np.std(samples, ddof=1))
        half = float(stdtrit(count - 1, 0.975)) * sd / math.sqrt(count)
        return cls(value, sd, (value - half, value + half), tuple(samples))

    @classmethod
    def of_ratios(cls, ratios: Sequence[float]) -> "Spread":
        """The same in logarithm (a ratio and its inverse tell the same); `sd` is left as that of the ratios."""
        if any(ratio <= 0.0 for ratio in ratios):
            raise ValueError(f"ratios of energies must be above 0, got {list(ratios)}")
        logs = cls.of([math.log(ratio) for ratio in ratios])
        ci95 = None if logs.ci95 is None else (math.exp(logs.ci95[0]), math.exp(logs.ci95[1]))
        return cls(math.exp(logs.value), cls.of(ratios).sd, ci95, tuple(ratios))
