"""Opens the graphs of a bundle that is not written yet, and runs them as the parity checks want it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paredown.bundle.folder import temporary_folder, writing
from paredown.bundle.pack import pack
from paredown.bundle.parity.products import Product, WatchedGraph, find_products, show_products
from paredown.bundle.storage import BundleParts
from paredown.runtime.decoder import DecoderSteps
from paredown.runtime.weights import Weights

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Step:
    """One teacher-forced step of the decoder; `sequences` [beams]: the sequence that each row holds."""

    tokens: Ids
    position: int
    order: Ids
    sequences: Ids


@dataclass(frozen=True)
class OpenParts:
    """The graphs of a bundle over its tensors as packed, unpacked and expanded; `ctc` is None where there is none."""

    graphs: Mapping[str, WatchedGraph]
    steps: DecoderSteps

    def encode(self, features: Floats) -> Floats:
        """The encoder's states [S, width]; the decoder listens to them from now on, and the CTC has spelled them."""
        states, keys, values = self.graphs["encoder"].run(["encoder_out", "memory_keys", "memory_values"], {"features": features})
        self.steps.listen(keys, values)
        self.steps.start()
        if "ctc" in self.graphs:
            self.graphs["ctc"].run(["log_probs"], {"encoder_out": states})
        encoded: Floats = states
        return encoded

    def decode(self, step: Step) -> Floats:
        """Log posteriors [beams, tokens] of one step."""
        self.steps.step(step.tokens, step.position, step.order, 1)
        log_probs = self.log_probs("decoder")
        return log_probs.reshape(-1, log_probs.shape[-1])

    def log_probs(self, graph: str) -> Floats:
        """All log posteriors of the last run of the decoder or the CTC."""
        return self.graphs[graph].values["log_probs"]


def open_parts(parts: BundleParts, products: Mapping[str, Sequence[Product]] | None = None) -> OpenParts:
    """Open the graphs, those of the bundle themselves or (with `products` by graph) copies that show their products."""
    opened = {}
    packed = pack(parts.tensors)
    with temporary_folder() as folder:  # the files may go as soon as they are open
        with writing(f"the parity check's file {folder / 'weights.bin'}"):
            (folder / "weights.bin").write_bytes(packed.data)
        weights = Weights(folder / "weights.bin", packed.records)
        for name, graph in parts.graphs.items():
            shown = () if products is None else products[name]
            path = folder / f"{name}.onnx"
            with writing(f"the parity check's file {path}"):
                path.write_bytes(show_products(graph, shown).serialize())
            values = [value for product in shown for value in (product.source, product.output)]
            watched = values if name == "encoder" else [*values, "log_probs"]
            opened[name] = WatchedGraph(path, weights.initializers(graph.initializers), watched)
    return OpenParts(opened, DecoderSteps(opened["decoder"]))


def script(tokens: Ids) -> Iterator[Step]:
    """Decode `tokens` [beams, steps]; rows are reordered between steps, as a search does: each step rotates them by one."""
    rows = len(tokens)
    for position in range(tokens.shape[1]):
        order = np.zeros(rows, np.int64) if position == 0 else np.roll(np.arange(rows), -1)
        sequences = (np.arange(rows) + position) % rows
        yield Step(tokens[sequences, position], position, order, sequences)


def products_of(parts: BundleParts) -> dict[str, tuple[Product, ...]]:
    """The products of every graph."""
    return {name: find_products(graph) for name, graph in parts.graphs.items()}
