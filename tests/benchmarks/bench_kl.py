"""The KL table of the bundled model beside the naive loop: the same batches, threads and precision, without what a layer leaves unchanged.

The naive loop runs the whole network for every layer, width and utterance, from the features on. It is written as carefully as ours:
weights are quantized and posteriors of the uncompressed model computed once, and features lie ready. Both put all widths of a layer side
by side. The layers are a committed subset: every fourth of the inventory, so that encoder and decoder, early and late blocks
take the share that they have in the whole table; what is computed once weighs four times as much as there. The table is compared with that
of the naive loop one pass after the other: of very short utterances a batch rounds differently, which ours avoids.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np
import torch

from paredown.analysis.allocation_kl import quantized_weight
from paredown.analysis.kl import measure_kl
from paredown.analysis.posteriors import ctc_heads, plain_pass
from paredown.analysis.result import WIDTHS
from paredown.analysis.stages import Sample, decode_from, embed_features, encode_from, shared_copy
from paredown.analysis.variants import Variants
from paredown.data import open_data
from paredown.models import Model, load_model
from paredown.models.network import Network
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import spread_by_length
from paredown.trials.sensitivity import read_samples
from paredown.trials.workshop import Workshop
from tests.benchmarks.bars import Bar, print_bars

MODEL = "bundled:tatoeba-en-de"
UTTERANCES, EVERY, ROUNDS = 8, 4, 2
MOST_OF_NAIVE, MOST_DIFFERENCE = 0.45, 1e-4


@torch.inference_mode()
def naive(network: Network, layers: Sequence[str], samples: Sequence[Sample], sos: int, *, side_by_side: bool) -> np.ndarray:
    """The table [layers, widths], every pass from the features on."""
    own = shared_copy(network)
    inputs = [(torch.tensor(one.features)[None], torch.tensor([[sos, *one.tokens]])) for one in samples]
    plain = [plain_pass(own, one, sos).log_posteriors for one in samples]
    table = np.zeros((len(layers), len(WIDTHS)))
    positions = {head: sum(len(one[head]) for one in plain) for head in plain[0]}
    for row, path in enumerate(layers):
        weights = [quantized_weight(network, path, bits) for bits in WIDTHS]
        batches = [weights] if side_by_side else [[weight] for weight in weights]
        for (features, tokens), log_p in zip(inputs, plain, strict=True):
            found = [whole_pass(own, path, batch, features, tokens) for batch in batches]
            for head, value in log_p.items():
                log_q = torch.log_softmax(torch.cat([one[head] for one in found]).double(), dim=-1)
                table[row] += (value.exp() * (value - log_q)).sum(dim=(1, 2)).numpy() / positions[head]
    return table


def whole_pass(network: Network, path: str, weights: Sequence[torch.Tensor], features: torch.Tensor, tokens: torch.Tensor) -> dict:
    """Logits of every head, a row for each weight of the layer."""
    rows = len(weights)
    with Variants(network.get_submodule(path), weights):
        state = embed_features(network, features.repeat(rows, 1, 1))
        if path.endswith(".linear_pos") and isinstance(state, tuple):
            state = (state[0], state[1].repeat(rows, 1, 1))  # a row of positions for each weight
        memory = encode_from(network, 0, state)
        logits = {"decoder": decode_from(network, 0, network.decoder.embed(tokens.repeat(rows, 1)), memory)}
        return logits | {name: head.ctc_lo(memory) for name, head in ctc_heads(network).items()}


def compare(model: Model, layers: Sequence[str], samples: Sequence[Sample], rounds: int) -> list[Bar]:
    """Processor times of both, interleaved, the best of some rounds; the table beside that of the naive loop one pass after the other."""
    seconds: dict[str, list[float]] = {"ours": [], "naive": []}
    for _ in range(rounds):
        began = time.process_time()
        found = measure_kl(model.network, layers, samples, model.sos)
        between = time.process_time()
        naive(model.network, layers, samples, model.sos, side_by_side=True)
        seconds["ours"].append(between - began)
        seconds["naive"].append(time.process_time() - between)
    ours, theirs = (min(values) for values in seconds.values())
    print(f"ours {ours:.1f} s, naive {theirs:.1f} s of processor time, best of {rounds}", flush=True)
    expected = naive(model.network, layers, samples, model.sos, side_by_side=False)
    difference = float(np.max(np.abs(found - expected) / expected))
    return [
        Bar("time, ours / naive", ours / theirs, MOST_OF_NAIVE, at_least=False),
        Bar("largest relative difference", difference, MOST_DIFFERENCE, at_least=False, unit=""),
    ]


def main() -> None:
    """Measure both on a few utterances of the analysis split, one thread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two utterances, one round: whether it runs")
    options, _ = parser.parse_known_args()
    torch.set_num_threads(1)
    model, count = load_model(MODEL), 2 if options.quick else UTTERANCES
    with Workshop(model) as workshop, Decoder(1) as decoder:
        samples = read_samples(model, spread_by_length(open_data(f"{MODEL}/analysis"), count), workshop, decoder)
    layers = [layer.path for layer in model.inventory().layers][::EVERY]
    bars = compare(model, layers, samples, 1 if options.quick else ROUNDS)
    print_bars(f"KL table, {len(layers)} layers x {len(WIDTHS)} widths x {count} utterances, one thread", bars)


if __name__ == "__main__":
    main()
