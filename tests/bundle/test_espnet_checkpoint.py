"""Compressed models as ESPnet checkpoints: our loader and ESPnet's own model classes read them, and training goes on."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

from espnet2.asr.frontend.abs_frontend import AbsFrontend  # noqa: E402

from paredown.bundle.espnet_checkpoint import shrink_config, write_espnet  # noqa: E402
from paredown.compress.compress import CompressedModel  # noqa: E402
from paredown.compress.network import compress_model, dense_network  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.models.espnet import CTC, GlobalMVN, TransformerDecoder, UtteranceMVN  # noqa: E402
from paredown.models.frontend import LogMelFrontend, read_frontend  # noqa: E402
from paredown.models.network import ENCODERS as CLASSES  # noqa: E402
from paredown.space.axes.layers import is_kept  # noqa: E402
from paredown.space.configuration import Configuration  # noqa: E402
from tests.models.checkpoints import ENCODERS, SOURCE_TOKENS, TOKENS, asr_config, random_state, st_config, write_checkpoint  # noqa: E402


def st_model(folder: Path, encoder: str = "conformer-latest") -> Model:
    """Three blocks in each stack, a CTC on either text, and a decoder of the source text that only training uses."""
    config = st_config(encoder)
    config["encoder_conf"]["num_blocks"] = config["decoder_conf"]["num_blocks"] = 3
    config |= {"extra_asr_decoder": "transformer", "extra_asr_decoder_conf": {"num_blocks": 1, "linear_units": 24, "attention_heads": 2}}
    config["model_conf"] = {"asr_weight": 0.3, "mtlalpha": 0.5, "st_mtlalpha": 0.2}
    extra = TransformerDecoder(len(SOURCE_TOKENS), 16, **config["extra_asr_decoder_conf"])
    state = random_state(config) | {f"extra_asr_decoder.{name}": value for name, value in extra.state_dict().items()}
    return load_model(write_checkpoint(folder, config, state))


def compress(model: Model, bits: int | None = 4) -> CompressedModel:
    """The first and third block of each stack, pruned and quantized."""
    layers = [layer.path for layer in model.inventory().layers if ".encoders.1." not in layer.path and ".decoders.1." not in layer.path]
    keep = (("encoder", (0, 2)), ("decoder", (0, 2)))
    sparsity = (("encoder.feed_forward", 0.5),)
    return compress_model(model, Configuration(keep=keep, bits=tuple((path, bits) for path in layers if bits), sparsity=sparsity))


class Frontend(LogMelFrontend, AbsFrontend):
    """Of the type that ESPnet asks for; its own imports torchaudio."""

    def output_size(self) -> int:
        return self.settings.n_mels


def espnet_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The model that ESPnet itself builds of a config: its task's `build_model`, without the parts that ask for torchaudio."""
    monkeypatch.setitem(sys.modules, "nltk", types.ModuleType("nltk"))  # scores translations while training; not needed here
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    encoder = CLASSES[config["encoder"]](20, **config["encoder_conf"])
    tokens = config["token_list"]
    decoder = TransformerDecoder(len(tokens), encoder.output_size(), **config["decoder_conf"])
    own = {"token_list": tokens, "vocab_size": len(tokens), "encoder": encoder, "decoder": decoder, "specaug": None, "preencoder": None}
    own |= {"frontend": Frontend(read_frontend(config)), "postencoder": None, **config["model_conf"]}
    if config["normalize"] == "global_mvn":
        own["normalize"] = GlobalMVN(folder / config["normalize_conf"]["stats_file"])
    else:
        own["normalize"] = UtteranceMVN(**config["normalize_conf"])
    if "src_token_list" not in config:
        from espnet2.asr.espnet_model import ESPnetASRModel

        return ESPnetASRModel(**own, ctc=CTC(len(tokens), encoder.output_size()), joint_network=None)
    from espnet2.st.espnet_model import ESPnetSTModel

    source = config["src_token_list"]
    extra = TransformerDecoder(len(source), encoder.output_size(), **config["extra_asr_decoder_conf"])
    absent = dict.fromkeys(("hier_encoder", "md_encoder", "extra_mt_encoder", "extra_mt_decoder", "st_joint_network"))
    heads = {"ctc": CTC(len(source), encoder.output_size()), "st_ctc": CTC(len(tokens), encoder.output_size())}
    return ESPnetSTModel(**own, **absent, **heads, extra_asr_decoder=extra, src_vocab_size=len(source), src_token_list=source)


def posteriors(network: Any, waveform: np.ndarray) -> list[Any]:
    with torch.no_grad():
        samples = torch.from_numpy(waveform)[None]
        features, frames = network.frontend(samples, torch.tensor([samples.shape[1]]))
        states, lengths = network.encode(network.normalized(features, frames), frames)
        logits, _ = network.decoder(states, lengths, torch.tensor([[7, 2, 3, 4]]), torch.tensor([4]))
        return [states, logits, network.output_ctc.log_softmax(states)]


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_our_loader_reads_the_same_posteriors(encoder: str, tmp_path: Path) -> None:
    model = st_model(tmp_path / "model", encoder)
    compressed = compress(model)
    again = load_model(write_espnet(model, compressed, tmp_path / "out"))
    waveform = np.random.default_rng(0).normal(0, 0.1, 9_000).astype(np.float32)
    expected = posteriors(dense_network(model, compressed), waveform)
    assert all(torch.equal(found, wanted) for found, wanted in zip(posteriors(again.network, waveform), expected, strict=True))
    assert not torch.allclose(expected[1], posteriors(model.network, waveform)[1], atol=1e-2)  # compression changed something
    assert again.inventory().blocks == (("encoder", 2), ("decoder", 2))
    assert again.tokens == model.tokens
    assert again.bpe_model == tmp_path / "out" / "bpe.model"


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_narrowed_and_factorized_layers_come_back_in_full_shape(encoder: str, tmp_path: Path) -> None:
    model = st_model(tmp_path / "model", encoder)
    inventory, keep = model.inventory(), (("encoder", (0, 2)), ("decoder", (0, 2)))
    kept = [path for path in inventory.feed_forwards if is_kept(path, Configuration(keep=keep))]
    configuration = Configuration(
        keep=keep,
        width=tuple((path, 5 + number) for number, path in enumerate(kept)),
        rank=tuple((f"{path}.w_{1 + number % 2}", 3) for number, path in enumerate(kept)),
        heads=tuple((path, (1,)) for path, _ in inventory.heads[::2] if is_kept(path, Configuration(keep=keep))),
        bits=((f"{kept[0]}.w_1", 4), (f"{kept[0]}.w_2", 16)),
    )
    compressed = compress_model(model, configuration)
    again = load_model(write_espnet(model, compressed, tmp_path / "out"))
    waveform = np.random.default_rng(0).normal(0, 0.1, 9_000).astype(np.float32)
    expected = posteriors(dense_network(model, compressed), waveform)
    # The same sums in another order: factors are multiplied beforehand, and zeros are added.
    assert all(
        torch.allclose(found, wanted, atol=2e-5) for found, wanted in zip(posteriors(again.network, waveform), expected, strict=True)
    )
    assert not torch.allclose(expected[1], posteriors(model.network, waveform)[1], atol=1e-2)
    assert again.inventory().feed_forwards.items() == dict.fromkeys(again.inventory().feed_forwards, 24).items()


def test_espnets_own_model_loads_it_strictly_and_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = st_model(tmp_path / "model")
    folder = write_espnet(model, compress(model), tmp_path / "out")
    network = espnet_model(folder, monkeypatch)
    state = torch.load(folder / "model.pth", weights_only=True)
    network.load_state_dict(state, strict=True)
    loss, *_ = network(
        torch.randn(2, 9_000) / 10,
        torch.tensor([9_000, 8_000]),
        text=torch.tensor([[2, 3, 4], [4, 5, -1]]),
        text_lengths=torch.tensor([3, 2]),
        src_text=torch.tensor([[2, 3], [3, 2]]),
        src_text_lengths=torch.tensor([2, 2]),
    )
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(value.grad).all() for value in network.parameters() if value.grad is not None)
    assert network.encoder.encoders[1].self_attn.linear_q.weight.grad.abs().sum() > 0


def test_an_asr_model_loads_into_espnets_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = asr_config()
    config["encoder_conf"]["num_blocks"] = config["decoder_conf"]["num_blocks"] = 3
    model = load_model(write_checkpoint(tmp_path / "model", config))
    folder = write_espnet(model, compress(model, None), tmp_path / "out")
    espnet_model(folder, monkeypatch).load_state_dict(torch.load(folder / "model.pth", weights_only=True), strict=True)
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "model.pth", "paredown.json"]


def test_what_only_training_uses_is_kept_and_blocks_are_counted_anew(tmp_path: Path) -> None:
    model = st_model(tmp_path / "model")
    original = torch.load(tmp_path / "model" / "model.pth", weights_only=True)
    state = torch.load(write_espnet(model, compress(model), tmp_path / "out") / "model.pth", weights_only=True)
    for name in original:
        if name.startswith(("extra_asr_decoder.", "ctc.", "normalize.")):
            assert torch.equal(state[name], original[name]), name
    norm = "encoder.encoders.{}.norm_ff.bias"
    assert torch.equal(state[norm.format(1)], original[norm.format(2)])
    assert norm.format(2) not in state
    weight = state["encoder.encoders.1.feed_forward.w_1.weight"]
    assert len(weight[0].unique()) <= 15  # 4 bits, a scale for each channel
    assert 0.3 < float((weight == 0).float().mean()) < 0.8
    assert all(value.dtype != torch.float16 for value in state.values())


def test_statistics_stand_in_for_a_file_that_is_gone(tmp_path: Path) -> None:
    model = st_model(tmp_path / "model")
    folder = write_espnet(model, compress(model), tmp_path / "out")
    made = GlobalMVN(folder / "feats_stats.npz")
    np.testing.assert_allclose(made.mean, model.network.normalize.mean, rtol=1e-6)
    np.testing.assert_allclose(made.std, model.network.normalize.std, rtol=1e-5)
    np.savez(tmp_path / "model" / "feats_stats.npz", count=np.float32(1), sum=np.ones(20), sum_square=np.ones(20) * 2)
    folder = write_espnet(model, compress(model), tmp_path / "out", force=True)
    assert (folder / "feats_stats.npz").read_bytes() == (tmp_path / "model" / "feats_stats.npz").read_bytes()


@pytest.mark.parametrize("way", ["path", "up", "link"])
def test_a_config_copies_no_file_from_outside_the_models_folder(way: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    model = st_model(tmp_path / "model")
    written = {"path": str(tmp_path / "secret"), "up": "../secret", "link": "link"}[way]
    (tmp_path / "model" / "link").symlink_to(tmp_path / "secret")
    model.config["src_bpemodel"] = model.config["normalize_conf"]["stats_file"] = written
    folder = write_espnet(model, compress(model), tmp_path / "out")
    assert all(path.read_bytes() != b"mine" for path in folder.iterdir())
    assert yaml.safe_load((folder / "config.yaml").read_text())["src_bpemodel"] == written
    np.testing.assert_allclose(GlobalMVN(folder / "feats_stats.npz").mean, model.network.normalize.mean, rtol=1e-6)
    (tmp_path / "model" / "bpe.model").rename(tmp_path / "elsewhere")
    model.config["bpemodel"] = str(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match=r"copied from the model's own folder only, got .*: put it there as bpe\.model"):
        write_espnet(model, compress(model), tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({"num_blocks": 5}, {"num_blocks": 3}),
        ({}, {"num_blocks": 3}),
        ({"stochastic_depth_rate": [0.1, 0.2, 0.3, 0.4, 0.5]}, {"num_blocks": 3, "stochastic_depth_rate": [0.1, 0.3, 0.4]}),
        ({"stochastic_depth_rate": 0.2}, {"num_blocks": 3, "stochastic_depth_rate": 0.2}),
        # Behind 1, 2 and 4 of the old blocks are 1, 1 and 3 of the kept ones; behind all of them is no intermediate output.
        ({"interctc_layer_idx": [1, 2, 4]}, {"num_blocks": 3, "interctc_layer_idx": [1]}),
        ({"interctc_layer_idx": [3]}, {"num_blocks": 3, "interctc_layer_idx": [2]}),
        ({"gradient_checkpoint_layers": [0, 2, 3, 5]}, {"num_blocks": 3, "gradient_checkpoint_layers": [0, 2]}),
    ],
    ids=str,
)
def test_settings_that_count_blocks_count_the_kept_ones(conf: dict[str, Any], expected: dict[str, Any]) -> None:
    config = {"encoder_conf": conf, "decoder_conf": {"num_blocks": 2}, "model_conf": {"x": 1}}
    shrunk = shrink_config(config, {"encoder": (0, 2, 3), "decoder": (0, 1)})
    assert shrunk == {"encoder_conf": expected, "decoder_conf": {"num_blocks": 2}, "model_conf": {"x": 1}}
    assert config["encoder_conf"] is conf
    assert conf.get("num_blocks") != 3


def test_equal_inputs_give_equal_bytes_and_only_our_own_folder_is_replaced(tmp_path: Path) -> None:
    model = st_model(tmp_path / "model")
    first, second = (write_espnet(model, compress(model), tmp_path / name) for name in ("a", "b"))
    content = {path.name: path.read_bytes() for path in first.iterdir()}
    assert content == {path.name: path.read_bytes() for path in second.iterdir()}
    assert b"/exp/gone" not in content["config.yaml"]
    with pytest.raises(BadInput, match="--force"):
        write_espnet(model, compress(model), first)
    write_espnet(model, compress(model, 5), first, force=True)
    assert (first / "model.pth").read_bytes() != content["model.pth"]
    (first / "train.log").write_text("epoch 1")
    for folder in (first, tmp_path / "model"):
        with pytest.raises(BadInput, match="new folder or over a checkpoint of paredown"):
            write_espnet(model, compress(model), folder, force=True)
    assert (first / "train.log").exists()
    assert set(TOKENS) <= set(yaml.safe_load(content["config.yaml"])["token_list"])
