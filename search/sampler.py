"""Which Optuna sampler proposes the next point.

"auto" takes gp for a study of at most 100 trials where torch is there, tpe otherwise. Orientation, on a formula shaped like our
problem (5 knobs, 3 objectives, noise, 25 trials, 5 to 12 seeds): under two budgets gp reached about twice the feasible hypervolume
of tpe, without budgets the same.

| name | sampler | worth it |
| --- | --- | --- |
| tpe | multivariate tree-structured Parzen estimator | any number of trials, milliseconds a proposal |
| gp | Gaussian processes, constrained expected hypervolume improvement (needs torch) | up to some hundred trials, seconds a proposal |
| nsga2 | NSGA-II, population a fifth of the study | many hundred trials |
| random | uniform | the control |
"""

from importlib.util import find_spec
from typing import Literal

import optuna

from paredown.errors import BadInput

SamplerName = Literal["auto", "tpe", "nsga2", "gp", "random"]
STARTUP_TRIALS = 8  # before them every sampler draws at random; Optuna's 10 are a third of a study of five minutes
GP_TRIALS = 100  # a proposal costs about 1 s at 30 trials and 5 to 7 s at 300 (three objectives, one core)
_LEAST_POPULATION, _MOST_POPULATION = 8, 50


def choose_sampler(name: SamplerName, trials: int) -> SamplerName:
    """The sampler behind "auto", or the named one; raises BadInput where it cannot run in this environment."""
    has_torch = find_spec("torch") is not None
    if name == "auto":
        return "gp" if has_torch and trials <= GP_TRIALS else "tpe"
    if name == "gp" and not has_torch:
        raise BadInput("sampler gp needs torch: pip install 'paredown[models]', or choose tpe, nsga2 or random")
    return name


def make_sampler(name: SamplerName, seed: int, trials: int) -> optuna.samplers.BaseSampler:
    """A fresh sampler; `trials`: how many the study may have, which sets the population of NSGA-II."""
    if name == "tpe":
        # Optuna leaves multivariate off for several objectives; the knobs interact (fewer layers bear fewer bits).
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=STARTUP_TRIALS)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=population_size(trials))
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    raise ValueError(f"make_sampler needs a resolved sampler name, got {name!r}")


def population_size(trials: int) -> int:
    """A fifth of the study, so that about five generations fit, within [8, 50] (50 is Optuna's default)."""
    return min(_MOST_POPULATION, max(_LEAST_POPULATION, trials // 5))
