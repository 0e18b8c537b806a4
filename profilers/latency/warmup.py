"""Runs a candidate until its durations no longer fall: memory is taken, caches are filled, clocks have risen."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

Run = Callable[[int], int]  # index of an utterance -> number of tokens decoded
LOOKED_AT = 6  # last durations, half against half
FALL = 0.03  # a fall of the median of three that counts; noise of a few percent delays the end by a run or two


@dataclass(frozen=True)
class Warmup:
    """`runs` it took; `steady`: the durations had come to rest, rather than the runs to an end."""

    runs: int
    steady: bool


def warm_up(run: Run, longest: int, shortest: int, most: int, clock: Callable[[], float]) -> Warmup:
    """Runs the utterance `longest` once, for the memory it takes, and then `shortest` until it is steady, `most` runs in all.

    Steady: the median of the last three durations is not more than 3 % below that of the three before. `clock` returns seconds.
    With `most` 0 nothing runs, and nothing is known to be steady but what needs no warm-up: it counts as steady.
    """
    if most == 0:
        return Warmup(0, True)
    run(longest)
    durations: list[float] = []
    while len(durations) + 1 < most:
        begin = clock()
        run(shortest)
        durations.append(clock() - begin)
        if not falls(durations):
            return Warmup(len(durations) + 1, True)
    return Warmup(len(durations) + 1, False)


def falls(durations: list[float]) -> bool:
    """Whether the last durations still fall, or are too few to tell."""
    last, half = durations[-LOOKED_AT:], LOOKED_AT // 2
    return len(last) < LOOKED_AT or median(last[half:]) < (1.0 - FALL) * median(last[:half])
