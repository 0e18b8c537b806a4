"""How much the model loses when one module group alone is pruned, at several shares: the first paper's Fig. 4, for every group.

The smallest weights of the group go, ranked over the whole group as `prune.survivors` does. The quick measure is the divergence of the
posteriors (`posteriors.py`: decoder, teacher-forced on the model's own hypotheses, plus CTC): states in front of the group's first block
are computed once. The paper's own measure, a score of what the pruned model decodes, has the same form (`metric`).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from paredown.analysis.array_file import load_array, save_array
from paredown.analysis.posteriors import Start, divergence, plain_pass, replaced
from paredown.analysis.spread import spread
from paredown.analysis.stages import Sample
from paredown.compress.prune import survivors
from paredown.models.network import Network

SHARES = tuple(round(tenth / 10, 1) for tenth in range(1, 10))
DIVERGENCE = "divergence"
_KIND = "pruning curves"


@dataclass(frozen=True, eq=False)
class PruningCurves:
    """`values` [groups, shares] float64: what the model is worth with one group alone pruned by one share.

    `metric` says what they are: "divergence" in nats, lower is better and 0 is no change, or a score (chrf), higher is better. `unpruned`
    is the value without pruning. `subset` says in words which utterances were used; `seconds` is how long it took.
    """

    groups: tuple[str, ...]
    shares: tuple[float, ...]
    values: NDArray[np.float64]
    metric: str
    unpruned: float
    subset: str
    seconds: float

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.groups), len(self.shares)) or self.values.dtype != np.float64:
            expected = (len(self.groups), len(self.shares))
            raise ValueError(f"pruning curves must be float64 {expected} [groups, shares], got {self.values.dtype} {self.values.shape}")
        if not np.isfinite(self.values).all() or (self.values < 0).any():
            raise ValueError("values of pruning curves must be finite and not negative")
        if list(self.shares) != sorted(set(self.shares)) or not all(0.0 < share < 1.0 for share in self.shares):
            raise ValueError(f"shares of pruning curves must ascend between 0 and 1, got {self.shares}")

    def save(self, path: Path) -> None:
        """Write one npz file, atomically; its folder must exist."""
        names = ("groups", "shares", "metric", "unpruned", "subset", "seconds")
        save_array(path, _KIND, self.values, {name: getattr(self, name) for name in names})

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote; raises ValueError if the file is damaged, FileNotFoundError if there is none."""
        values, described = load_array(path, _KIND)
        try:
            described |= {name: tuple(described[name]) for name in ("groups", "shares")}
            return cls(values=values, **described)
        except (KeyError, TypeError) as error:
            raise ValueError(f"a file of {_KIND} must be as paredown wrote it, {path} is not: {error}") from error


def measure_pruning(
    network: Network,
    groups: Mapping[str, Sequence[str]],
    samples: Sequence[Sample],
    sos: int,
    *,
    shares: Sequence[float] = SHARES,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
    unit: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> NDArray[np.float64]:
    """The divergence of the network with one group pruned, [groups, shares]; `groups` names the parameters that each of them ranks.

    `progress(done, total)` counts pairs of group and share; each is computed inside a `unit()`, and so is each utterance before them.
    Raises ValueError without an utterance.
    """
    references = spread(network, samples, lambda own, sample: plain_pass(own, sample, sos), threads=threads, unit=unit)

    def measure(own: Network, job: tuple[str, float]) -> float:
        names, share = groups[job[0]], job[1]
        weights = {name: own.get_parameter(name).detach() for name in names}
        masks = survivors({name: weight.numpy() for name, weight in weights.items()}, share)
        with replaced(own, {name: weight * torch.from_numpy(masks[name]) for name, weight in weights.items()}):
            return divergence(own, references, Start.of(own, names))

    jobs = [(group, share) for group in groups for share in shares]
    found = spread(network, jobs, measure, threads=threads, progress=progress, unit=unit)
    return np.array(found, np.float64).reshape(len(groups), len(shares))
