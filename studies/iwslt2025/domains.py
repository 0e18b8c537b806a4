"""What stands for the paper's two kinds of data: 784 in-domain utterances, and out-of-domain ones of four sizes, each within the next."""

import random
from dataclasses import dataclass

from paredown.data import Split
from paredown.errors import BadInput
from studies.reproduction.bench import Bench

IN_DOMAIN = 784  # the paper's
OUT_OF_DOMAIN = 1000  # its 100,000: all tables together are to take less than half an hour
PERCENT = (10, 50, 80, 100)  # its 10,000, 50,000, 80,000 and 100,000
SEED = 0


@dataclass(frozen=True, eq=False)
class Domains:
    """`inside`: the in-domain utterances; `outside`: the out-of-domain ones, in the order in which they are taken."""

    inside: Split
    outside: Split

    def taken(self, percent: int) -> Split:
        """So much of the out-of-domain data, at least one utterance."""
        return self.outside.first(max(1, round(len(self.outside) * percent / 100)))


def divide(bench: Bench) -> Domains:
    """A seeded sample of the train split, and others of it (or of `--other`, where that is given), apart from what chooses and judges.

    Raises BadInput where a file of *analysis* or *test* would train, or where too little is there to be divided.
    """
    assert bench.data is not None
    for split in (bench.analysis, bench.test):
        bench.data.check_apart(split)
    utterances = list(bench.data.train.utterances)
    if len(utterances) < 4:
        raise BadInput(f"a train split must have 4 utterances or more to be divided into two domains, got {len(utterances)}")
    random.Random(SEED).shuffle(utterances)
    count = min(scaled(IN_DOMAIN, bench.scale), len(utterances) // 2)
    others = utterances[count:] if bench.data.other is None else list(bench.data.other.utterances)
    if bench.data.other is not None:
        random.Random(SEED).shuffle(others)
    outside = tuple(others[: scaled(OUT_OF_DOMAIN, bench.scale)])
    return Domains(Split("in-domain", tuple(utterances[:count])), Split("out-of-domain", outside))


def scaled(count: int, scale: float) -> int:
    """A number of utterances at toy size."""
    return max(2, round(count * scale))
