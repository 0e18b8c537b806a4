"""What an analysis leaves: plain arrays and a few words about how they were measured, in one file."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from paredown.analysis.layer_order import LayerOrder
from paredown.npz import write_npz
from paredown.space.configuration import MAX_BITS, MIN_BITS

WIDTHS = tuple(range(MIN_BITS, MAX_BITS + 1))


@dataclass(frozen=True, eq=False)
class Analysis:
    """Everything measured once per model and data.

    `kl` [layers, widths] float64 belongs to the layers `paths` and the bit-widths `widths`, lower is better; `layer_order` maps a stack to
    the order in which its blocks go; `subset` says in words which utterances were used; `seconds` is how long it took.
    """

    paths: tuple[str, ...]
    kl: NDArray[np.float64]
    layer_order: Mapping[str, LayerOrder]
    subset: str
    seconds: float
    widths: tuple[int, ...] = WIDTHS

    def __post_init__(self) -> None:
        if self.kl.shape != (len(self.paths), len(self.widths)) or self.kl.dtype != np.float64:
            expected = (len(self.paths), len(self.widths))
            raise ValueError(f"a KL table must be float64 {expected} [layers, widths], got {self.kl.dtype} {self.kl.shape}")
        if not np.isfinite(self.kl).all() or (self.kl < 0).any():
            raise ValueError("divergences must be finite and not negative")

    def save(self, path: Path) -> None:
        """Write one npz file (arrays, and a JSON text of the rest), atomically; its folder must exist."""
        description = np.array(json.dumps(self._description(), sort_keys=True))
        write_npz(path, {"kl": self.kl, "description": description}, compressed=True)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The analysis that `save` wrote; raises ValueError if the file is damaged or no analysis, FileNotFoundError if there is none."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                kl, described = arrays["kl"], json.loads(str(arrays["description"]))
            orders = {
                stack: LayerOrder(tuple(order["removed"]), tuple(order["scores"])) for stack, order in described["layer_order"].items()
            }
            return cls(tuple(described["paths"]), kl, orders, described["subset"], float(described["seconds"]), tuple(described["widths"]))
        except FileNotFoundError:
            raise
        except (OSError, EOFError, KeyError, TypeError, AttributeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"an analysis file must be as paredown wrote it, {path} is not: {error}") from error

    def _description(self) -> dict[str, Any]:
        orders = {stack: {"removed": order.removed, "scores": order.scores} for stack, order in self.layer_order.items()}
        return {"paths": self.paths, "layer_order": orders, "subset": self.subset, "seconds": self.seconds, "widths": self.widths}
