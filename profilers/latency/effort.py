"""How hard a latency is measured: how often at least, how narrow an interval is wanted, and when to give up."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Utterances are timed in blocks; in each of them every candidate is one load of its model, warmed up.

    `repeats`: every utterance is timed at least so often, spread over at least `loads` blocks. With one load nothing is loaded anew.
    `width`: the wanted width of the 95 % interval of the ratio to the reference, relative to it (0.04: 4 %); None asks for no more than
    `repeats`. Blocks go on, at most up to `most_repeats` of each utterance and `seconds` in all (one repeat of every utterance is always
    timed). The interval is looked at when the number of blocks has doubled, and at no other time: stopping at the first moment at which
    it happens to be narrow would find it narrow too often. `warmup`: most warm-up runs of a load.
    """

    repeats: int = 1
    most_repeats: int | None = None
    loads: int = 1
    width: float | None = None
    seconds: float = 600.0
    warmup: int = 30

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(f"repeats must be at least 1, got {self.repeats}")
        if self.most_repeats is not None and self.most_repeats < self.repeats:
            raise ValueError(f"most repeats must be at least the {self.repeats} repeats, got {self.most_repeats}")
        if self.loads < 1:
            raise ValueError(f"loads must be at least 1, got {self.loads}")
        if self.width is not None and self.width <= 0.0:
            raise ValueError(f"the wanted width of an interval must be above 0, got {self.width:g}")
        if self.seconds <= 0.0:
            raise ValueError(f"a time limit must be above 0 s, got {self.seconds:g}")
        if self.warmup < 0:
            raise ValueError(f"warm-up runs must be at least 0, got {self.warmup}")

    def visits(self, items: int) -> int:
        """How many utterances a block times, of `items` that there are."""
        return -(-items * self.repeats // self.loads)


# Inside the search: many candidates, one load of each. Where that lies in memory (1 to 4 %) is in the ratio and not in its interval.
CHEAP = Effort()
# What is claimed: an interval of at most 4 %. A little less is asked for, because what decides is an estimate. Two loads of one bundle
# differ by 1 to 4 % for as long as they live (tests/benchmarks/bench_latency.py), so it takes this many of them.
STRICT = Effort(repeats=2, loads=12, width=0.036, seconds=120.0)
