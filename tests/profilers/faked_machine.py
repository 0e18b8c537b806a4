"""A machine whose clock only moves when something runs, so that every answer is known beforehand."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from paredown.profilers.latency import Latency
from paredown.profilers.latency.effort import Effort
from paredown.profilers.latency.session import Load, Loaded, Subject, measure_latency
from paredown.profilers.latency.warmup import Run

Cost = Callable[[int], float]
UNWARMED = {"warmup": 0}


class Machine:
    """Runs cost `cost(item)` milliseconds times a drift that depends on the time since it was switched on.

    `noise`: of every run, `load_noise`: of every load for as long as it lives; standard deviations of logarithms. `cold`: how many times
    as long the first run of a load takes. `load_s`: what a load takes.
    """

    def __init__(
        self,
        drift: Callable[[float], float] = lambda now_s: 1.0,
        noise: float = 0.0,
        load_noise: float = 0.0,
        cold: float = 1.0,
        load_s: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.now_s = 0.0
        self.calls: list[tuple[str, int]] = []
        self.loads: list[str] = []
        self._drift, self._noise, self._load_noise, self._cold, self._load_s = drift, noise, load_noise, cold, load_s
        self._rng = np.random.default_rng(seed)
        self._pool: list[float] = []

    def clock(self) -> float:
        return self.now_s

    def candidate(self, name: str, cost: Cost, tokens: int = 10) -> Run:
        """One load: how it runs; item `i` gives `tokens` + i tokens."""
        self.loads.append(name)
        self.now_s += self._load_s
        place = float(np.exp(self._load_noise * self._rng.standard_normal()))
        factor = self._cold

        def run(item: int) -> int:
            nonlocal factor
            self.calls.append((name, item))
            jitter = np.exp(self._noise * self._normal()) if self._noise else 1.0
            self.now_s += cost(item) * place * factor * self._drift(self.now_s) * jitter / 1000.0
            factor = 1.0
            return tokens + item

        return run

    def loader(self, name: str, cost: Cost, tokens: int = 10) -> Load:
        return lambda: Loaded(self.candidate(name, cost, tokens))

    def _normal(self) -> float:
        if not self._pool:
            self._pool = self._rng.standard_normal(256).tolist()
        return self._pool.pop()


def subject(machine: Machine, costs: Mapping[str, Cost], items: int, **settings: Any) -> Subject:
    """The first candidate is the reference."""
    loads = {name: machine.loader(name, cost) for name, cost in costs.items()}
    return Subject(loads, next(iter(costs)), items, **settings)


def measure(machine: Machine, costs: Mapping[str, Cost], items: int, effort: Effort, seed: int = 0, **settings: Any) -> dict[str, Latency]:
    rng = np.random.default_rng(seed)
    return measure_latency(subject(machine, costs, items, **settings), effort, rng, clock=machine.clock, watch=lambda: None)
