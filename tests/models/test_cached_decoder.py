"""The cached step against ESPnet's own `forward_one_step`, over prefixes that part, end and are reordered as in a beam search."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.models.cached_decoder import CachedDecoder, call_linear, join_linear  # noqa: E402
from paredown.models.espnet import TransformerDecoder  # noqa: E402

VOCABULARY, WIDTH, STATES = 11, 16, 7
# Sums of at most 32 float32 products in another order, through three blocks of values near one.
TIGHT = 1e-5
FORMS = {
    "normalized before": {},
    "normalized behind": {"normalize_before": False},
    "concatenated": {"concat_after": True},
    "concatenated and normalized behind": {"concat_after": True, "normalize_before": False},
}


def make_decoder(seed: int = 0, **conf: Any) -> Any:
    torch.manual_seed(seed)
    decoder = TransformerDecoder(VOCABULARY, WIDTH, attention_heads=2, linear_units=32, num_blocks=3, **conf).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.2)  # norms and biases too, or their place would test nothing
    return decoder


def espnet_log_probs(decoder: Any, memory: Any, prefixes: list[list[int]]) -> Any:
    """ESPnet's step on whole prefixes, without its caches: [beam, vocabulary]."""
    tokens = torch.tensor(prefixes)
    mask = torch.tril(torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool))[None]
    return decoder.forward_one_step(tokens, mask, memory.expand(len(prefixes), -1, -1))[0]


def walk(decoder: Any, cached: CachedDecoder, memory: Any, beams: list[int], seed: int) -> float:
    """The largest difference over a search in which `beams[i]` random hypotheses take step i."""
    rng = np.random.default_rng(seed)
    cached.start()
    prefixes: list[list[int]] = [[]]
    worst = 0.0
    for position, beam in enumerate(beams):
        order = rng.integers(0, len(prefixes), beam)
        tokens = rng.integers(0, VOCABULARY, beam)
        prefixes = [[*prefixes[row], int(token)] for row, token in zip(order, tokens, strict=True)]
        found = cached.step(torch.from_numpy(tokens), position, torch.from_numpy(order))
        worst = max(worst, float((found - espnet_log_probs(decoder, memory, prefixes)).abs().max()))
    return worst


@pytest.mark.parametrize("join", [join_linear, call_linear])
@pytest.mark.parametrize("form", sorted(FORMS))
@torch.no_grad()
def test_a_step_is_espnets_step(form: str, join: Any) -> None:
    decoder = make_decoder(**FORMS[form])
    cached = CachedDecoder(decoder, join)
    for seed, beams in enumerate(([1, 5, 5, 5, 4, 3, 3, 1], [1] * 6, [1, 2, 8, 8])):
        memory = torch.randn(STATES + seed, WIDTH)
        cached.listen(memory)
        assert walk(decoder, cached, memory, beams, seed) < TIGHT


@torch.no_grad()
def test_blocks_may_differ_in_their_heads() -> None:
    decoder, memory = make_decoder(), torch.randn(STATES, WIDTH)
    for attention in (decoder.decoders[0].self_attn, decoder.decoders[2].src_attn):
        attention.h = 1
        for layer in (attention.linear_q, attention.linear_k, attention.linear_v):
            layer.weight, layer.bias = (torch.nn.Parameter(parameter[: attention.d_k]) for parameter in (layer.weight, layer.bias))
        attention.linear_out.weight = torch.nn.Parameter(attention.linear_out.weight[:, : attention.d_k])
    cached = CachedDecoder(decoder)
    cached.listen(memory)
    assert walk(decoder, cached, memory, [1, 5, 3, *[9] * 20], 0) < TIGHT


@torch.no_grad()
def test_the_pool_outgrows_its_first_size() -> None:
    decoder = make_decoder()
    cached, memory = CachedDecoder(decoder), torch.randn(STATES, WIDTH)
    cached.listen(memory)
    assert walk(decoder, cached, memory, [1, *[9] * 40], 0) < TIGHT  # 361 rows


@torch.no_grad()
def test_order_matters() -> None:
    cached = CachedDecoder(make_decoder())
    cached.listen(torch.randn(STATES, WIDTH))
    found = []
    for order in ([0, 1], [1, 0]):
        cached.start()
        cached.step(torch.tensor([2, 3]), 0, torch.tensor([0, 0]))
        found.append(cached.step(torch.tensor([4, 4]), 1, torch.tensor(order)))
    torch.testing.assert_close(found[0], found[1].flip(0), atol=1e-6, rtol=0)
    assert (found[0] - found[1]).abs().max() > 1e-3


@torch.no_grad()
def test_positions_go_on_past_espnets_table() -> None:
    decoder = make_decoder()
    cached, memory = CachedDecoder(decoder), torch.randn(STATES, WIDTH)
    cached.listen(memory)
    cached.start()
    assert torch.isfinite(cached.step(torch.tensor([1]), 5_000, torch.tensor([0]))).all()
