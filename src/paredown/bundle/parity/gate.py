"""The check for before a bundle is written (by the caller, who decides): its graphs compute what torch computes.

First the graphs are built in fp32 over the very tensors that the bundle stores, packed, unpacked and expanded by the runtime, and compared
from end to end with ESPnet's network of the same dequantized weights. Then, where a layer is computed by another kernel than fp32, the
graphs that the bundle gets are followed layer by layer, with the rounding of activations that their kernels do
(`paredown.bundle.parity.follow`), and compared from end to end as far as that goes. What that rounding does to the quality is measured
on the bundle itself.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paredown.bundle.graphs.architecture import read_architecture
from paredown.bundle.parity.follow import ParityError
from paredown.bundle.parity.run import OpenParts, open_parts, script
from paredown.bundle.storage import BundleParts, assemble
from paredown.compress.compress import CompressedModel

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.models.network import Network

__all__ = ["LIMIT", "Followed", "ParityError", "ParityReport", "check_parity"]

LIMIT = 1e-4
# From end to end the graphs and torch round differently once a first difference of 1e-6 has met a rounding, and are two samples of one
# noise: as far from each other as from the network that does not round, times the root of 2. Observed 0 to 1.2; more is allowed for
# networks in which a small difference tips a large one over.
NOISE_LIMIT = 5.0
_SECONDS = (0.9, 1.7, 3.1)
_BEAMS, _STEPS = 3, 8
_FOLLOWED = 2  # utterances that are followed layer by layer: every layer is called in each of them
Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Followed:
    """How the graphs with the bundle's kernels compare; a fault would have been raised.

    `layers`: how many were followed. `max_input` and `max_product`: the largest differences of what goes into products (and out of the
    graphs) and of the products, in shares of their limits. `noise`: the distance of the graphs' results from those of torch with the same
    rounding, divided by what the rounding does to torch's; None where the graphs compute in half precision.
    """

    layers: int
    max_input: float
    max_product: float
    noise: float | None = None

    def __str__(self) -> str:
        shares = f"{100 * self.max_input:.0f} % (inputs) and {100 * self.max_product:.0f} % (products)"
        noise = "" if self.noise is None else f"; from end to end {self.noise:.1f} of what their rounding does (limit {NOISE_LIMIT:.0f})"
        return f"{self.layers} layers with the bundle's kernels within {shares} of the limits{noise}"


@dataclass(frozen=True)
class ParityReport:
    """Largest absolute differences from torch, at fp32: of encoder states, of teacher-forced log posteriors and of those of the CTC.

    `max_abs_ctc` is None for a model without a CTC over its output, `followed` where every kernel is fp32.
    """

    max_abs_encoder: float
    max_abs_decoder: float
    max_abs_ctc: float | None = None
    limit: float = LIMIT
    followed: Followed | None = None

    @property
    def passed(self) -> bool:
        """Whether all lie within the limit; a NaN does not."""
        differences = (self.max_abs_encoder, self.max_abs_decoder, self.max_abs_ctc or 0.0)
        return all(difference <= self.limit for difference in differences)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        ctc = "" if self.max_abs_ctc is None else f", CTC {self.max_abs_ctc:.1e}"
        plain = f"encoder {self.max_abs_encoder:.1e}, decoder {self.max_abs_decoder:.1e}{ctc} (limit {self.limit:.0e})"
        return f"parity with torch: {plain}" + ("" if self.followed is None else f"; {self.followed}")


def check_parity(model: "Model", compressed: CompressedModel, waveforms: Sequence[Floats] | None = None) -> ParityReport:
    """Compare the graphs of a compressed model with torch, on waveforms [samples] (seeded noise if none are given).

    Raises ParityError if a difference exceeds its limit, naming the layer where it begins; BadInput if the graphs do not cover the model.
    """
    from paredown.bundle.parity.kernels import check_kernels
    from paredown.compress.network import dense_network

    examples = [np.asarray(model.features(waveform)) for waveform in waveforms or _noise(model.frontend.sample_rate_hz)]
    tokens = np.random.default_rng(1).integers(0, len(model.tokens), (_BEAMS, _STEPS))
    network = dense_network(model, compressed)
    plain = _assemble(model, compressed, fp32=True)
    report = _measure(network, open_parts(plain), examples, tokens)
    if not report.passed:
        try:
            check_kernels(network, plain, compressed, examples, tokens)
        except ParityError as fault:
            raise ParityError(f"graphs must agree with torch; {report}; {fault}") from None
        raise ParityError(f"graphs must agree with torch; {report}; no layer stands out")
    parts = _assemble(model, compressed, fp32=False)
    kernels = sorted({kernel for path, kernel in parts.kernels.items() if f"{path}.weight" in parts.tensors})
    if kernels == ["fp32"]:
        return report
    try:
        followed = check_kernels(network, parts, compressed, examples[:_FOLLOWED], tokens)
    except ParityError as fault:
        raise ParityError(f"graphs of {' and '.join(kernels)} kernels must give what torch does with the same rounding; {fault}") from None
    return replace(report, followed=followed)


def _noise(sample_rate_hz: int) -> list[Floats]:
    generator = np.random.default_rng(0)
    return [generator.normal(0, 0.1, round(seconds * sample_rate_hz)).astype(np.float32) for seconds in _SECONDS]


def _assemble(model: "Model", compressed: CompressedModel, fp32: bool) -> BundleParts:
    from paredown.compress.network import state_of

    architecture = read_architecture(model.config, model.frontend.n_mels, len(model.tokens))
    return assemble(architecture, model.inventory(), state_of(model), compressed, fp32=fp32)


def _measure(network: "Network", opened: OpenParts, examples: Sequence[Floats], tokens: Ids) -> ParityReport:
    """Largest differences from ESPnet's own forward passes, over all utterances; `tokens` [beams, steps] are what is decoded."""
    import torch

    worst: dict[str, float] = {"encoder": 0.0, "decoder": 0.0} | ({} if "ctc" not in opened.graphs else {"ctc": 0.0})

    def compare(part: str, found: Floats, expected: "torch.Tensor") -> None:
        worst[part] = float(np.max([worst[part], np.abs(found - expected.numpy()).max()]))  # NumPy's maximum keeps a NaN

    with torch.no_grad():
        for features in examples:
            states, lengths = network.encode(torch.from_numpy(features)[None], torch.tensor([len(features)]))
            compare("encoder", opened.encode(features), states[0])
            if network.output_ctc is not None and "ctc" in worst:
                compare("ctc", opened.log_probs("ctc"), network.output_ctc.log_softmax(states)[0])
            repeated = states.expand(len(tokens), -1, -1), lengths.expand(len(tokens))
            logits, _ = network.decoder(*repeated, torch.from_numpy(tokens), torch.full((len(tokens),), tokens.shape[1]))
            posteriors = torch.log_softmax(logits, -1)
            for step in script(tokens):
                compare("decoder", opened.decode(step), posteriors[step.sequences, step.position])
    return ParityReport(worst["encoder"], worst["decoder"], worst.get("ctc"))
