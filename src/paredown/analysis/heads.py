"""How much the model needs each attention head: the divergence of its posteriors when that head alone is gone.

Removing head j of an attention is taking the columns j dk .. (j + 1) dk of its `linear_out` for zero: nothing of the head reaches the
residual stream, the layer's bias stays. The divergence is that of `posteriors.py` (decoder, teacher-forced on the model's own
hypotheses, plus CTC), so heads of encoder and decoder, of self- and of cross-attention are on one scale. It is the structured form of
the first paper's pruning of attention modules (5.3.2).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from paredown.analysis.array_file import load_array, save_array
from paredown.analysis.posteriors import Plain, Start, divergence, plain_pass, replaced
from paredown.analysis.spread import spread
from paredown.analysis.stages import Sample
from paredown.models.network import Network

_KIND = "divergences of attention heads"


@dataclass(frozen=True)
class HeadDivergences:
    """`divergences`: by the path of an attention, that of removing each of its heads, in nats, lower is better.

    `subset` says in words which utterances were used; `seconds` is how long it took.
    """

    divergences: tuple[tuple[str, tuple[float, ...]], ...]
    subset: str
    seconds: float

    def __post_init__(self) -> None:
        for path, values in self.divergences:
            if not values or not all(0.0 <= value < float("inf") for value in values):
                raise ValueError(f"divergences of heads must be finite and not negative, one or more an attention, got {values} for {path}")

    @property
    def by_attention(self) -> dict[str, tuple[float, ...]]:
        return dict(self.divergences)

    def save(self, path: Path) -> None:
        """Write one npz file, atomically; its folder must exist."""
        heads = [[name, len(values)] for name, values in self.divergences]
        array = np.array([value for _, values in self.divergences for value in values], np.float64)
        save_array(path, _KIND, array, {"heads": heads, "subset": self.subset, "seconds": self.seconds})

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote; raises ValueError if the file is damaged, FileNotFoundError if there is none."""
        array, described = load_array(path, _KIND)
        try:
            ends = np.cumsum([count for _, count in described["heads"]]).tolist()
            parts = np.split(array, ends[:-1]) if ends else []
            pairs = tuple((str(name), tuple(part.tolist())) for (name, _), part in zip(described["heads"], parts, strict=True))
            return cls(pairs, str(described["subset"]), float(described["seconds"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"a file of {_KIND} must be as paredown wrote it, {path} is not: {error}") from error


def measure_heads(
    network: Network,
    heads: Mapping[str, int],
    samples: Sequence[Sample],
    sos: int,
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
    unit: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> tuple[tuple[str, tuple[float, ...]], ...]:
    """The divergences of removing every head alone, by attention, in the order of `heads` (the inventory's: path -> number of heads).

    `progress(done, total)` counts attentions; each is computed inside a `unit()`, and so is each utterance before them. What stands in
    front of a head's block is computed once. Raises ValueError without an utterance.
    """
    references = spread(network, samples, lambda own, sample: plain_pass(own, sample, sos), threads=threads, unit=unit)

    def measure(own: Network, job: tuple[str, int]) -> tuple[float, ...]:
        return tuple(_without_head(own, job[0], head, job[1], references) for head in range(job[1]))

    jobs = list(heads.items())
    found = spread(network, jobs, measure, threads=threads, progress=progress, unit=unit)
    return tuple((path, values) for (path, _), values in zip(jobs, found, strict=True))


def without_heads(weight: Tensor, removed: Sequence[int], heads: int) -> Tensor:
    """A copy of `linear_out`'s weight [out, heads dk] with the columns of the removed heads at zero."""
    emptied = weight.detach().clone()
    emptied.view(len(emptied), heads, -1)[:, list(removed)] = 0.0
    return emptied


def _without_head(network: Network, path: str, head: int, heads: int, references: Sequence[Plain]) -> float:
    name = f"{path}.linear_out.weight"
    with replaced(network, {name: without_heads(network.get_parameter(name), (head,), heads)}):
        return divergence(network, references, Start.of(network, (name,)))


def head_norms(network: Network, path: str, heads: int) -> tuple[float, ...]:
    """The L1 norm of each head's columns of `linear_out`: what magnitude alone says of it."""
    weight = network.get_parameter(f"{path}.linear_out.weight").detach()
    norms: list[float] = torch.sum(weight.abs().view(len(weight), heads, -1), dim=(0, 2)).tolist()
    return tuple(norms)
