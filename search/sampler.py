"""Which sampler proposes the next point.

"auto" takes model for a study of at most 200 trials, tpe for a longer one. tests/benchmarks/bench_search.py compares them by the time
until a front covers 95 % of the reference hypervolume.

| name | sampler | worth it |
| --- | --- | --- |
| model | Gaussian processes for what is not known beforehand, exact costs for the rest (`surrogate`) | up to some 200 trials |
| tpe | multivariate, grouped tree-structured Parzen estimator | any number of trials, milliseconds a proposal |
| gp | Gaussian processes, constrained expected hypervolume improvement (needs torch) | up to some 200 trials, seconds a proposal |
| nsga2 | NSGA-II, population a fifth of the study | many hundred trials |
| nsga3 | NSGA-III, by directions instead of crowding: for four objectives and more | many hundred trials |
| qmc | scrambled Sobol sequence, looks at nothing | covering a space evenly |
| random | uniform | the control |

All of Optuna's that learn (tpe, gp, nsga2, nsga3) read the constraints of a trial that was added to a study as they read those that
`Trial.set_constraint` sets; model, our own, has no entry in `make_sampler` but a proposer of its own (see `unseen.Asks`).
"""

from importlib.util import find_spec
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution

from paredown.errors import BadInput
from paredown.search.seeding import sampler_seed

SamplerName = Literal["auto", "tpe", "nsga2", "nsga3", "gp", "model", "qmc", "random"]
STARTUP_TRIALS = 8  # before them every sampler draws at random; Optuna's 10 are a third of a study of five minutes
MODEL_TRIALS = 200  # beyond, its Gaussian processes cost more than they tell
# Three objectives, one core: 0.6 s a proposal at 200 observations drawn at random, but 2 to 5 s at 50 that a search has led to the front:
# what it costs is the front.
GP_TRIALS = 200
# The most observations that a sampler is shown, None for all. tpe: where most trials lie on the front, choosing the tenth of them that
# spans the most hypervolume takes 2.2 s of 2,000 observations and 0.1 s of 500.
VIEW: dict[SamplerName, int | None] = {"tpe": 500, "gp": GP_TRIALS, "nsga2": None, "nsga3": None, "model": None, "qmc": 0, "random": 0}
_LEAST_POPULATION, _MOST_POPULATION = 8, 50


def choose_sampler(name: SamplerName, trials: int) -> SamplerName:
    """The sampler behind "auto", or the named one; raises BadInput where it cannot run in this environment."""
    if name == "auto":
        return "model" if trials <= MODEL_TRIALS else "tpe"
    if name == "gp" and find_spec("torch") is None:
        raise BadInput("sampler gp needs torch: pip install 'paredown[models]', or choose model, tpe, nsga2, nsga3, qmc or random")
    return name


def make_sampler(name: SamplerName, seed: int, trials: int, index: int = 0) -> optuna.samplers.BaseSampler:
    """A fresh sampler for one trial of a study.

    `seed`: of the study; `index`: how many trials came before this one; `trials`: how many the study may have.
    """
    own = sampler_seed(seed, index)
    if name == "tpe":
        # Optuna leaves multivariate off for several objectives; the knobs interact (fewer layers bear fewer bits). Grouped, it bears
        # observations that lack some of the knobs: it models together the knobs that were set together.
        return optuna.samplers.TPESampler(seed=own, multivariate=True, group=True, n_startup_trials=STARTUP_TRIALS)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=own, n_startup_trials=STARTUP_TRIALS)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=own, population_size=population_size(trials))
    if name == "nsga3":
        return optuna.samplers.NSGAIIISampler(seed=own, population_size=population_size(trials))
    if name == "qmc":
        return SequenceSampler(sampler_seed(seed, 0), index, trials)
    if name == "random":
        return optuna.samplers.RandomSampler(seed=own)
    raise ValueError(f"make_sampler needs a resolved sampler name, got {name!r}")


def population_size(trials: int) -> int:
    """A fifth of the study, so that about five generations fit, within [8, 50] (50 is Optuna's default)."""
    return min(_MOST_POPULATION, max(_LEAST_POPULATION, trials // 5))


class SequenceSampler(optuna.samplers.QMCSampler):
    """Point `index` of one scrambled Sobol sequence, whatever the study holds.

    Optuna counts the points taken in the study; ours is made anew for every trial. Asked again, it goes on `stride` points further, a
    power of two of at least the study's trials, so that no trial takes another's point.
    """

    def __init__(self, seed: int, index: int, trials: int) -> None:
        super().__init__(scramble=True, seed=seed, warn_independent_sampling=False)
        self._next, self._stride = index, 1 << max(0, trials - 1).bit_length()
        self.distributions: dict[str, BaseDistribution] = {}

    def infer_relative_search_space(self, study: optuna.Study, trial: Any) -> dict[str, BaseDistribution]:
        """The whole space from the first trial on, which Optuna draws at random; a range of one value takes no dimension."""
        return {name: one for name, one in sorted(self.distributions.items()) if not one.single()}

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, BaseDistribution]) -> int:
        found, self._next = self._next, self._next + self._stride
        return found
