"""Times the stages of utterances of bundles side by side, at a fixed number of tokens, in a process that imports the runtime alone.

A machine's speed wanders within seconds, so a short run of a reference lies between any two timed ones: what it took beside a run tells how
fast the machine was just then.
"""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paredown.profilers.machine_lock import machine_lock
from paredown.profilers.pinning import pinned
from paredown.trials.stages import STAGES, stages_of
from paredown.trials.workers import Workers

if TYPE_CHECKING:
    from paredown.runtime import Translator

_LOUDNESS = 0.1  # of the noise that is translated; full scale is 1
_WARMUP = 2

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """An utterance of a bundle: noise of `samples` at the bundle's rate, decoded in exactly `tokens` steps."""

    bundle: str
    samples: int
    tokens: int
    beam: int

    def __post_init__(self) -> None:
        for name in ("samples", "tokens", "beam"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class StageTimes:
    """`ms` [runs, repeats, stages]; `reference_ms` [runs, repeats]: what the reference took in all, the mean of before and behind."""

    ms: Doubles
    reference_ms: Doubles

    @property
    def typical_reference_ms(self) -> float:
        """The reference's median."""
        return float(np.median(self.reference_ms))

    def least(self) -> Doubles:
        """The shortest time of every run and stage [runs, stages], at the machine's typical speed.

        The shortest of a few is what nothing disturbed; the reference tells how much longer the typical one takes.
        """
        slowdown = self.typical_reference_ms / float(np.median(self.reference_ms.min(axis=1)))
        shortest: Doubles = slowdown * self.ms.min(axis=1)
        return shortest

    @property
    def totals_ms(self) -> Doubles:
        """Of all stages, as they were [runs, repeats]."""
        totals: Doubles = self.ms.sum(axis=2)
        return totals

    def at_speed_of(self, reference_ms: float) -> Doubles:
        """Total milliseconds [runs, half the repeats], as if the reference had taken `reference_ms` beside each of them.

        Of every run the half that the reference says was disturbed least.
        """
        totals = self.totals_ms * (reference_ms / self.reference_ms)
        least = np.argsort(self.reference_ms, axis=1, kind="stable")[:, : -(-totals.shape[1] // 2)]
        kept: Doubles = np.take_along_axis(totals, least, axis=1)
        return kept


def time_stages(bundles: Mapping[str, Path], runs: Sequence[Run], reference: Run, repeats: int, seed: int, threads: int = 1) -> StageTimes:
    """Times every run, in a new random order in each of `repeats` rounds.

    Meanwhile the machine-wide lock is held, and the process pinned to as many cores as it has threads.
    """
    with machine_lock(), Workers(1) as workers:
        return StageTimes(*workers.run(_time, dict(bundles), tuple(runs), reference, repeats, seed, threads))


def _time(
    bundles: dict[str, Path], runs: tuple[Run, ...], reference: Run, repeats: int, seed: int, threads: int
) -> tuple[Doubles, Doubles]:
    with pinned(threads):
        return _time_here(bundles, runs, reference, repeats, seed, threads)


def _time_here(
    bundles: Mapping[str, Path], runs: Sequence[Run], reference: Run, repeats: int, seed: int, threads: int
) -> tuple[Doubles, Doubles]:
    from paredown.runtime import Translator

    rng = np.random.default_rng(seed)
    loaded = {name: Translator.from_bundle(path, threads=threads, beam_size=1) for name, path in bundles.items()}
    longest = max(run.samples for run in (*runs, reference))
    noise = (_LOUDNESS * rng.standard_normal(longest)).astype(np.float32)
    for run in (*runs, reference):
        for _ in range(_WARMUP):
            _translate(loaded, run, noise)
    timed, beside = np.zeros((len(runs), repeats, len(STAGES))), np.zeros((len(runs), repeats))
    gc.collect()
    gc.disable()  # in a process of its own, which ends behind this
    for repeat in range(repeats):
        before = sum(_translate(loaded, reference, noise))
        for index in rng.permutation(len(runs)).tolist():
            timed[index, repeat] = _translate(loaded, runs[index], noise)
            behind = sum(_translate(loaded, reference, noise))
            beside[index, repeat] = (before + behind) / 2
            before = behind
    return timed, beside


def _translate(loaded: Mapping[str, "Translator"], run: Run, noise: NDArray[Any]) -> tuple[float, float, float]:
    """Milliseconds of the stages."""
    translator = loaded[run.bundle]
    translator = replace(translator, settings=replace(translator.settings, beam_size=run.beam))
    return stages_of(translator.translate(noise[: run.samples], fixed_tokens=run.tokens).timings)
