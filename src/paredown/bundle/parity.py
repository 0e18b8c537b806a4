"""The check for before a bundle is written (by the caller, who decides): its graphs compute what torch computes.

The graphs are built in fp32 over the very tensors that the bundle stores, packed, unpacked and expanded by the runtime, and compared
with the torch network of the same dequantized weights. So the check covers graph, packing and expansion; what int8 activations add to
it is a matter of quality, measured on the bundle itself.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paredown.bundle.architecture import read_architecture
from paredown.bundle.pack import pack
from paredown.bundle.storage import BundleParts, assemble
from paredown.compress.compress import CompressedModel
from paredown.runtime.session import Graph
from paredown.runtime.weights import Weights

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.models.network import Network

LIMIT = 1e-4
_SECONDS = (0.9, 1.7, 3.1)
_BEAMS, _STEPS = 3, 8
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ParityReport:
    """Largest absolute differences from torch: of encoder states, and of teacher-forced log posteriors."""

    max_abs_encoder: float
    max_abs_decoder: float
    limit: float = LIMIT

    @property
    def passed(self) -> bool:
        """Whether both lie within the limit; a NaN does not."""
        return self.max_abs_encoder <= self.limit and self.max_abs_decoder <= self.limit

    def to_dict(self) -> dict[str, float]:
        return asdict(self)

    def __str__(self) -> str:
        return f"parity with torch: encoder {self.max_abs_encoder:.1e}, decoder {self.max_abs_decoder:.1e} (limit {self.limit:.0e})"


class ParityError(RuntimeError):
    """The graphs of a bundle do not compute what torch does: a fault of paredown, not of the input."""


def check_parity(model: "Model", compressed: CompressedModel, waveforms: Sequence[Floats] | None = None) -> ParityReport:
    """Compare the graphs of a compressed model with torch, on waveforms [samples] (seeded noise if none are given).

    Raises ParityError if a difference exceeds `LIMIT`, naming the first block where it does; BadInput if the graphs do not cover the model.
    """
    examples = [np.asarray(model.features(waveform)) for waveform in waveforms or _noise(model.frontend.sample_rate_hz)]
    report = _measure(model, compressed, examples)
    if not report.passed:
        raise ParityError(f"graphs must agree with torch; {report}; it begins in {_first_block(model, compressed, examples, report)}")
    return report


def _noise(sample_rate_hz: int) -> list[Floats]:
    generator = np.random.default_rng(0)
    return [generator.normal(0, 0.1, round(seconds * sample_rate_hz)).astype(np.float32) for seconds in _SECONDS]


def _first_block(model: "Model", compressed: CompressedModel, examples: Sequence[Floats], report: ParityReport) -> str:
    """The first block of the failing stack without which the rest agrees: the stack is built up block by block."""
    stack = "decoder" if report.max_abs_encoder <= LIMIT else "encoder"
    keep = compressed.keep[stack]
    for count in range(1, len(keep) + 1):
        shortened = replace(compressed, keep={**compressed.keep, stack: keep[:count]})
        if not _measure(model, shortened, examples).passed:
            return f"{stack}.{stack}s.{keep[count - 1]}" + (" or before it" if count == 1 else "")
    return f"{stack}, behind its blocks"


def _measure(model: "Model", compressed: CompressedModel, examples: Sequence[Floats]) -> ParityReport:
    from paredown.compress.network import dense_network, state_of

    architecture = read_architecture(model.config, model.frontend.n_mels, len(model.tokens))
    parts = assemble(architecture, model.inventory(), state_of(model), compressed, fp32=True)
    network = dense_network(model, compressed)
    tokens = np.random.default_rng(1).integers(0, architecture.decoder.tokens, (_BEAMS, _STEPS))
    with tempfile.TemporaryDirectory() as folder:
        encoder, decoder = _open_graphs(Path(folder), parts)
        differences = [_compare(network, encoder, decoder, features, tokens) for features in examples]
    return ParityReport(*(float(np.max(column)) for column in zip(*differences, strict=True)))


def _open_graphs(folder: Path, parts: BundleParts) -> tuple[Graph, Graph]:
    """Both graphs over the tensors as packed and unpacked; the files may go as soon as they are open."""
    packed = pack(parts.tensors)
    (folder / "weights.bin").write_bytes(packed.data)
    weights = Weights(folder / "weights.bin", packed.records)
    opened = []
    for name, graph in (("encoder.onnx", parts.encoder), ("decoder.onnx", parts.decoder)):
        (folder / name).write_bytes(graph.serialize())
        opened.append(Graph(folder / name, weights.initializers(graph.initializers), threads=1))
    return opened[0], opened[1]


def _compare(network: "Network", encoder: Graph, decoder: Graph, features: Floats, tokens: NDArray[np.int64]) -> tuple[float, float]:
    """Largest differences of the encoder's states and of the log posteriors of `tokens` [beams, steps] on one utterance."""
    import torch

    states, memory_keys, memory_values = encoder.run(["encoder_out", "memory_keys", "memory_values"], {"features": features})
    with torch.no_grad():
        expected, lengths = network.encode(torch.from_numpy(features)[None], torch.tensor([len(features)]))
        repeated = expected.expand(len(tokens), -1, -1), lengths.expand(len(tokens))
        logits, _ = network.decoder(*repeated, torch.from_numpy(tokens), torch.full((len(tokens),), tokens.shape[1]))
        posteriors = torch.log_softmax(logits, -1).numpy()
    differences = [np.abs(states - expected[0].numpy()).max()]
    for step, log_probs in enumerate(_run_decoder(decoder, memory_keys, memory_values, tokens)):
        differences.append(np.abs(log_probs - posteriors[:, step]).max())
    return float(differences[0]), float(np.max(differences[1:]))


def _run_decoder(decoder: Graph, memory_keys: Floats, memory_values: Floats, tokens: NDArray[np.int64]) -> Iterator[Floats]:
    """Log posteriors [beams, tokens] of every step, teacher-forced; the beams are reordered between steps and back, as a search does."""
    layers, heads, _, dk = memory_keys.shape
    inputs: dict[str, NDArray[Any]] = {"k": np.array([1])}
    for layer in range(layers):
        inputs |= {f"memory_keys_{layer}": memory_keys[layer : layer + 1], f"memory_values_{layer}": memory_values[layer : layer + 1]}
        inputs |= {f"self_{part}_{layer}": np.zeros((1, heads, 0, dk), np.float32) for part in ("keys", "values")}
    caches = [name for name in inputs if name.startswith("self_")]
    rows = len(tokens)
    for step in range(tokens.shape[1]):
        # Row i holds sequence (i + step) % rows: each step rotates the rows by one.
        order = np.zeros(rows, np.int64) if step == 0 else np.roll(np.arange(rows), -1)
        sequences = (np.arange(rows) + step) % rows
        inputs |= {"tokens": tokens[sequences, step], "position": np.array([step]), "order": order}
        log_probs, *grown = decoder.run(["log_probs", *(f"new_{name}" for name in caches)], inputs)
        inputs |= dict(zip(caches, grown, strict=True))
        yield log_probs[np.argsort(sequences)]
