"""What an analysis found: plain arrays, written as one `.npz` file with its description inside."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from paredown.analysis.layer_order import LayerOrder
from paredown.space.configuration import MAX_BITS, MIN_BITS

WIDTHS = tuple(range(MIN_BITS, MAX_BITS + 1))


@dataclass(frozen=True, eq=False)
class Analysis:
    """Everything measured once for a model and its data.

    `kl` [layers, widths], float64, rows as in `paths` and columns as in `widths`: divergence in nats when this layer alone has this
    bit-width, lower is better; no rows where sensitivities were not asked for. `layer_order`: order of removal, by stack.
    `subset` says in words on which utterances, `seconds` how long it took when it was measured.
    """

    paths: tuple[str, ...]
    kl: NDArray[np.float64]
    layer_order: Mapping[str, LayerOrder]
    subset: str
    seconds: float
    widths: tuple[int, ...] = field(default=WIDTHS)

    def __post_init__(self) -> None:
        if self.kl.shape != (len(self.paths), len(self.widths)):
            raise ValueError(f"kl must have the shape {(len(self.paths), len(self.widths))} [layers, widths], got {self.kl.shape}")

    def to_bytes(self) -> bytes:
        """The analysis as a `.npz` archive without pickled objects."""
        order = {stack: {"removed": order.removed, "scores": order.scores} for stack, order in self.layer_order.items()}
        about = {"paths": self.paths, "widths": self.widths, "layer_order": order, "subset": self.subset, "seconds": self.seconds}
        target = io.BytesIO()
        np.savez(target, kl=self.kl, about=np.frombuffer(json.dumps(about).encode(), np.uint8))
        return target.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The analysis that `to_bytes` wrote; ValueError, KeyError, TypeError or an archive's own error where it is none."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            about = json.loads(arrays["about"].tobytes())
            kl = np.array(arrays["kl"], np.float64)
        order = {stack: LayerOrder(tuple(value["removed"]), tuple(value["scores"])) for stack, value in about["layer_order"].items()}
        return cls(tuple(about["paths"]), kl, order, about["subset"], about["seconds"], tuple(about["widths"]))
