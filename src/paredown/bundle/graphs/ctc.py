"""The CTC graph: encoder states to the log posteriors of the output tokens, for joint and for greedy CTC decoding."""

from paredown.bundle.graphs.architecture import Architecture
from paredown.bundle.graphs.graph import Graph, GraphBuilder, WeightLayout
from paredown.space.inventory import Inventory


def find_ctc(inventory: Inventory) -> str | None:
    """The path of the CTC's one layer (`ctc.ctc_lo`, in ST models `st_ctc.ctc_lo`), None for a model without a CTC over its output."""
    return next((layer.path for layer in inventory.layers if layer.group == "ctc"), None)


def build_ctc(architecture: Architecture, layout: WeightLayout, path: str) -> Graph:
    """The CTC whose layer is `path`. Input `encoder_out` [S, width], output `log_probs` [S, tokens]; token 0 is the blank."""
    builder = GraphBuilder("ctc", layout)
    states = builder.input("encoder_out", ["states", architecture.encoder.width])
    log_probs = builder.node("LogSoftmax", [builder.linear(states, path)], axis=-1)
    builder.output(log_probs, "log_probs", ["states", architecture.decoder.tokens])
    return builder.build()
