"""The loss without blocks: equal to ESPnet's own on a network that never had them, for every way through the stack."""

from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from espnet.nets.pytorch_backend.transformer.label_smoothing_loss import LabelSmoothingLoss

from paredown.analysis.block_loss import BlockLoss
from paredown.analysis.layer_order import greedy_order
from paredown.analysis.stages import Sample
from paredown.models.network import Network, build_network
from tests.analysis.test_kl import SOS, samples
from tests.analysis.whole_network import changed
from tests.models.checkpoints import ENCODERS, asr_config, random_state, st_config

BLOCKS = 3


def deep_network(encoder: str) -> Network:
    config = asr_config() if encoder == "asr" else st_config(encoder)
    for part in ("encoder_conf", "decoder_conf"):
        config[part] = config[part] | {"num_blocks": BLOCKS}
    network = build_network(config).eval()
    network.load_state_dict(random_state(config))
    return network


def without(stack: str, kept: tuple[int, ...]) -> Callable[[Network], None]:
    def change(network: Network) -> None:
        blocks = network.encoder.encoders if stack == "encoder" else network.decoder.decoders
        for block in sorted(set(range(BLOCKS)) - set(kept), reverse=True):
            del blocks[block]

    return change


def espnet_loss(network: Network, sample: Sample, ctc_weight: float) -> float:
    features, said = torch.tensor(sample.features)[None], torch.tensor([sample.tokens])
    lengths = torch.tensor([len(sample.tokens)])
    with torch.inference_mode():
        memory, steps = network.encode(features, torch.tensor([features.shape[1]]))
        read = torch.tensor([[SOS, *sample.tokens]])
        logits = network.decoder(memory, steps, read, lengths + 1)[0]
        loss = (1 - ctc_weight) * LabelSmoothingLoss(logits.shape[-1], -1, 0.0)(logits, torch.tensor([[*sample.tokens, SOS]]))
        if ctc_weight:
            loss = loss + ctc_weight * network.output_ctc(memory, steps, said, lengths)
    return float(loss)


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
@pytest.mark.parametrize(("encoder", "ctc_weight"), [*((encoder, 0.0) for encoder in ENCODERS), ("asr", 0.3), ("asr", 1.0)])
def test_equals_espnets_loss_of_the_shorter_network(encoder: str, ctc_weight: float, stack: str) -> None:
    network = deep_network(encoder)
    loss = BlockLoss(network, stack, samples(), SOS, ctc_weight=ctc_weight)
    subsets = [kept for count in range(1, BLOCKS + 1) for kept in combinations(range(BLOCKS), count)]
    expected = {}
    for kept in subsets:
        shorter = changed(network, without(stack, kept))
        expected[kept] = sum(espnet_loss(shorter, sample, ctc_weight) for sample in samples()) / len(samples())
    for settled in ((0, 1, 2), (0, 2), (1,)):
        found = {kept: loss(kept) for kept in subsets}
        assert found == pytest.approx(expected, rel=1e-5)  # float32 logits, summed in another order
        loss.settle(settled)


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_a_greedy_order_does_not_depend_on_what_is_kept_in_mind(stack: str) -> None:
    network = deep_network("conformer-latest")
    loss, fresh = BlockLoss(network, stack, samples(), SOS, threads=2), BlockLoss(network, stack, samples(), SOS)
    remembering = greedy_order(range(BLOCKS), lambda kept: -loss(kept), protect_first_last=False, settle=loss.settle)
    assert remembering == greedy_order(range(BLOCKS), lambda kept: -fresh(kept), protect_first_last=False)


def test_blocks_in_front_of_the_missing_one_are_not_computed_again() -> None:
    network, runs = deep_network("transformer"), []
    loss = BlockLoss(network, "decoder", samples(), SOS)
    hooks = [
        block.register_forward_hook(lambda *_, index=index: runs.append(index)) for index, block in enumerate(network.decoder.decoders)
    ]
    hooks += [block.register_forward_hook(lambda *_: runs.append("encoder")) for block in network.encoder.encoders]
    loss((0, 2))
    assert runs == [2] * len(samples())
    for hook in hooks:
        hook.remove()


def test_what_cannot_be_measured_is_named() -> None:
    network = deep_network("transformer")
    with pytest.raises(ValueError, match="at least one utterance"):
        BlockLoss(network, "decoder", [], SOS)
    with pytest.raises(ValueError, match="the encoder or the decoder, got 'ctc'"):
        BlockLoss(network, "ctc", samples(), SOS)
    with pytest.raises(ValueError, match=r"CTC weight must lie in \[0, 1\], and be 0 without"):
        BlockLoss(network, "decoder", samples(), SOS, ctc_weight=0.3)  # its CTC spells the source text
