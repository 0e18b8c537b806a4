"""A checkpoint as a bundle: the translator against ESPnet's modules and ESPnet's own beam search, token for token."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from paredown.runtime import Translator
from paredown.space.configuration import Configuration, Kernel, Scheme

torch = pytest.importorskip("torch")

from espnet.nets.batch_beam_search import BatchBeamSearch  # noqa: E402
from espnet.nets.scorers.length_bonus import LengthBonus  # noqa: E402

from paredown.bundle.write import write_bundle  # noqa: E402
from paredown.compress.network import compress_model, dense_network  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from tests.models.checkpoints import asr_config, random_state, st_config, write_checkpoint  # noqa: E402

FP32 = Scheme(kernel="fp32")


TOKENS = ["<blank>", "<unk>", *(f"▁{letter}" for letter in "abcdefghij"), *"klmnopqrst", "<sos/eos>"]


def make_model(folder: Path, config: dict[str, Any], seed: int = 0) -> Model:
    """A random model whose posteriors are sharp enough, and listen enough to the encoder, for waveforms to give different results."""
    config = {**config, "token_list": TOKENS}
    state = random_state(config, seed)
    for name, value in state.items():
        if name.startswith("decoder") and ("src_attn.linear_v" in name or "src_attn.linear_out" in name or "output_layer.weight" in name):
            value *= 3.0
    return load_model(write_checkpoint(folder, config, state))


def make_waveform(seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    samples = 4_000 + 2_000 * seed
    tone = np.sin(2 * np.pi * rng.uniform(100, 3_000) * np.arange(samples) / 16_000)
    return (0.1 * tone + 10.0 ** -(1 + seed % 3) * rng.standard_normal(samples)).astype(np.float32)


def search_espnet(model: Model, network: Any, waveform: NDArray[np.float32], beam_size: int, **lengths: float) -> tuple[list[int], float]:
    search = BatchBeamSearch(
        scorers={"decoder": network.decoder, "length_bonus": LengthBonus(len(model.tokens))},
        weights={"decoder": 1.0, "length_bonus": 0.2},
        beam_size=beam_size,
        vocab_size=len(model.tokens),
        sos=model.sos,
        eos=model.eos,
        pre_beam_score_key="full",
    ).eval()
    with torch.no_grad():
        features = model.features(waveform)
        states, _ = network.encode(features[None], torch.tensor([len(features)]))
        best = search(states[0], **lengths)[0]
    return [token for token in best.yseq.tolist()[1:] if token not in (0, model.eos)], float(best.score)


def check_equal(model: Model, configuration: Configuration, bundle: Path) -> int:
    """Translate some waveforms in both ways; the number of different beginnings of the results (their lengths differ in any case)."""
    compressed = compress_model(model, configuration)
    network = dense_network(model, compressed)
    write_bundle(model, compressed, bundle)
    found = set()
    for beam_size, lengths in ((5, {}), (1, {"maxlenratio": -6.0}), (8, {"maxlenratio": 0.5, "minlenratio": 0.1})):
        translator = Translator.from_bundle(bundle, beam_size=beam_size, length_bonus=0.2, **lengths)
        for seed in range(4):
            ids, score = search_espnet(model, network, make_waveform(seed), beam_size, **lengths)
            translation = translator.translate(make_waveform(seed))
            assert list(translation.ids) == ids, f"waveform {seed}, beam {beam_size}, {lengths}"
            # float32 sums over some ten layers and as many steps
            assert translation.score == pytest.approx(score, abs=1e-3)
            found.add(translation.ids[:3])
    return len(found)


@pytest.mark.parametrize("encoder", ["conformer-latest", "conformer-legacy", "transformer", "e_branchformer"])
def test_an_fp32_bundle_gives_the_tokens_of_espnet(tmp_path: Path, encoder: str) -> None:
    model = make_model(tmp_path / "model", st_config(encoder))
    assert check_equal(model, Configuration(scheme=FP32), tmp_path / "bundle") > 1


def test_an_asr_model_of_characters_gives_the_tokens_of_espnet(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", asr_config(), seed=1)
    assert check_equal(model, Configuration(scheme=FP32), tmp_path / "bundle") > 1


def test_unequal_heads_widths_and_factors_give_the_tokens_of_the_same_torch_network(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", st_config(), seed=3)
    feed_forwards = list(model.inventory().feed_forwards)
    configuration = Configuration(
        heads=(("decoder.decoders.0.src_attn", (1,)), ("decoder.decoders.1.self_attn", (0,)), ("encoder.encoders.1.self_attn", (1,))),
        width=tuple((path, 7 + number) for number, path in enumerate(feed_forwards)),
        rank=tuple((f"{path}.w_2", 5) for path in feed_forwards[::2]),
        scheme=FP32,
    )
    assert check_equal(model, configuration, tmp_path / "bundle") > 1


def test_dropped_blocks_low_bits_and_sparsity_give_the_tokens_of_the_same_torch_network(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", st_config(), seed=2)
    kept = [layer.path for layer in model.inventory().layers if not layer.path.startswith("decoder.decoders.0.")]
    configuration = Configuration(
        keep=(("decoder", (1,)),),
        bits=tuple((path, 3 + number % 6) for number, path in enumerate(kept)),
        sparsity=(("encoder.feed_forward", 0.6), ("decoder.cross_attn", 0.3)),
        scheme=FP32,
    )
    assert check_equal(model, configuration, tmp_path / "bundle") > 1


@pytest.mark.parametrize("encoder", ["conformer-latest", "transformer", "e_branchformer"])
def test_a_half_bundle_gives_the_tokens_of_fp32(tmp_path: Path, encoder: str) -> None:
    model = make_model(tmp_path / "model", st_config(encoder))
    found, sizes = {}, {}
    for kernel in ("fp32", "fp16"):
        bundle = write_bundle(model, compress_model(model, Configuration(scheme=Scheme(kernel=kernel))), tmp_path / kernel)
        translator = Translator.from_bundle(bundle, beam_size=4)
        found[kernel] = [translator.translate(make_waveform(seed)) for seed in range(24)]
        sizes[kernel] = (bundle / "weights.bin").stat().st_size
    assert sizes["fp16"] == sizes["fp32"] / 2
    assert len({translation.ids for translation in found["fp32"]}) > 12
    # 99 % of the utterances: all of so few.
    assert [translation.ids for translation in found["fp16"]] == [translation.ids for translation in found["fp32"]]
    differences = [abs(half.score - full.score) / (1 + len(full.ids)) for half, full in zip(found["fp16"], found["fp32"], strict=True)]
    assert 0.0 < max(differences) < 0.02  # a token's: roundings to 11 bits in each of some 30 products


@pytest.mark.parametrize("kernel", ["int8", "nbits"])
def test_products_of_codes_give_nearly_the_same_scores(tmp_path: Path, kernel: Kernel) -> None:
    """8-bit weights and activations: the score of the first token moves a little, and the layers really run on codes."""
    model = make_model(tmp_path / "model", st_config(), seed=3)
    bits = tuple((layer.path, 8) for layer in model.inventory().layers)
    scores = []
    for scheme in (FP32, Scheme(kernel=kernel)):
        compressed = compress_model(model, Configuration(bits=bits, scheme=scheme))
        translator = Translator.from_bundle(write_bundle(model, compressed, tmp_path / scheme.kernel), beam_size=3)
        scores.append(np.array([translator.translate(make_waveform(seed), fixed_tokens=1).score for seed in range(4)]))
    difference = np.abs(scores[0] - scores[1]).max()
    assert 0.0 < difference < 0.3  # activations round at 1/255 of their range in each of some 30 products
