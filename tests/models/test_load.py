"""Loading: every supported encoder, ASR and ST, half-precision weights, and each kind of bad input."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from paredown.errors import BadInput
from paredown.models import Model, ModelError, load_model
from paredown.models.network import build_network
from tests.models.checkpoints import ENCODERS, SOURCE_TOKENS, TOKENS, asr_config, random_state, st_config, write_checkpoint


@pytest.mark.parametrize("encoder", ENCODERS)
def test_st_checkpoint_of_every_encoder(tmp_path: Path, encoder: str) -> None:
    config = st_config(encoder)
    state = random_state(config)
    model = load_model(write_checkpoint(tmp_path, config, state))

    loaded = model.network.state_dict()
    assert set(loaded) == set(state)
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    assert not any(module.training for module in model.network.modules())
    assert (model.task, model.tokens, model.source_tokens) == ("st", tuple(TOKENS), tuple(SOURCE_TOKENS))
    assert model.sos == model.eos == TOKENS.index("<sos/eos>")
    assert model.dropped == ("specaug", "source_ctc")
    assert model.network.ctc is not None
    assert model.bpe_model == tmp_path / "bpe.model"
    states = model.encode(model.features(torch.randn(8_000)))
    assert states.shape[1] == 16
    assert torch.isfinite(states).all()


def test_keys_are_those_of_espnets_own_model(tmp_path: Path) -> None:
    names = set(build_network(st_config()).state_dict())
    assert {"frontend.logmel.melmat", "normalize.mean", "normalize.std", "ctc.ctc_lo.weight", "decoder.output_layer.bias"} <= names
    assert "encoder.encoders.1.feed_forward_macaron.w_1.weight" in names
    assert {name.split(".")[0] for name in names} == {"frontend", "normalize", "encoder", "decoder", "ctc"}


def test_asr_checkpoint_keeps_its_ctc_for_decoding(tmp_path: Path) -> None:
    model = load_model(write_checkpoint(tmp_path, asr_config()))
    assert (model.task, model.source_tokens, model.bpe_model, model.token_type) == ("asr", (), None, "char")
    assert model.network.output_ctc is model.network.ctc is not None
    assert model.dropped == ("specaug",)
    ctc = sum(p.numel() for p in model.network.ctc.parameters())
    assert model.inference_parameters == sum(p.numel() for p in model.network.parameters())
    st = load_model(write_checkpoint(tmp_path / "st", st_config()))
    assert st.inference_parameters == sum(p.numel() for p in st.network.parameters()) - sum(p.numel() for p in st.network.ctc.parameters())
    assert ctc > 0


def test_ctc_on_the_translation_is_not_the_source_ctc(tmp_path: Path) -> None:
    config = st_config(model_conf={"asr_weight": 0.3, "mtlalpha": 1.0, "st_mtlalpha": 0.3})
    network = load_model(write_checkpoint(tmp_path, config)).network
    assert network.ctc.ctc_lo.out_features == len(SOURCE_TOKENS)
    assert network.st_ctc.ctc_lo.out_features == len(TOKENS)
    assert network.output_ctc is network.st_ctc
    assert network.source_ctc is network.ctc


def test_extra_decoders_are_dropped_and_named(tmp_path: Path) -> None:
    conf = {"asr_weight": 0.3, "mtlalpha": 0.5, "mt_weight": 0.2}
    config = st_config(model_conf=conf, extra_asr_decoder="transformer", extra_mt_decoder="transformer")
    state = random_state(config) | {"extra_asr_decoder.embed.0.weight": torch.ones(2, 2), "extra_mt_decoder.after_norm.bias": torch.ones(2)}
    model = load_model(write_checkpoint(tmp_path, config, state))
    assert model.dropped == ("specaug", "extra_asr_decoder", "extra_mt_decoder", "source_ctc")


def test_half_precision_is_upcast(tmp_path: Path) -> None:
    config = st_config()
    state = {name: value.half() if value.is_floating_point() else value for name, value in random_state(config).items()}
    network = load_model(write_checkpoint(tmp_path, config, state)).network
    assert {value.dtype for value in network.state_dict().values() if value.is_floating_point()} == {torch.float32}
    name = "decoder.decoders.0.feed_forward.w_1.weight"
    assert torch.equal(network.state_dict()[name], state[name].float())


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    config = st_config()
    best, last = random_state(config, seed=1), random_state(config, seed=2)
    write_checkpoint(tmp_path, config, last, name="valid.acc.best.pth")
    write_checkpoint(tmp_path, config, best, name="valid.acc.ave_10best.pth")
    (tmp_path / "valid.acc.ave.pth").symlink_to("valid.acc.ave_10best.pth")
    name = "encoder.after_norm.weight"
    best[name].fill_(3.0)
    torch.save(best, tmp_path / "valid.acc.ave_10best.pth")
    assert load_model(tmp_path).network.state_dict()[name].eq(3.0).all()


def test_digest_depends_on_config_and_weights(tmp_path: Path) -> None:
    first = load_model(write_checkpoint(tmp_path / "a", st_config())).digest
    assert load_model(write_checkpoint(tmp_path / "b", st_config())).digest == first
    assert load_model(write_checkpoint(tmp_path / "c", st_config(), random_state(st_config(), seed=7))).digest != first
    assert load_model(write_checkpoint(tmp_path / "d", st_config(specaug=None))).digest != first


def _refusal(path: Path | str) -> str:
    with pytest.raises(BadInput) as caught:
        load_model(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"encoder": "rnn"}, "encoder must be one of conformer, transformer, e_branchformer, got 'rnn'"),
        ({"encoder_conf": {"input_layer": "linear"}}, "must be one of conv2d, conv2d1, conv2d2, conv2d6, conv2d8, got 'linear'"),
        ({"encoder_conf": {"output_sise": 16}}, "got an unexpected keyword argument 'output_sise'"),
        ({"decoder": "rnn"}, "decoder must be 'transformer', got 'rnn'"),
        ({"decoder_conf": {"num_blocks": "two"}}, "decoder_conf of transformer must fit ESPnet's TransformerDecoder"),
        ({"frontend": "s3prl"}, "frontend must be 'default' (log-mel), got 's3prl'"),
        ({"frontend_conf": {"frontend_conf": {"use_wpe": True}}}, "without speech enhancement, got use_wpe: true"),
        ({"frontend_conf": {"n_fft": 512, "hop": 80}}, "got 'hop'"),
        ({"frontend_conf": {"fs": "fast"}}, "frontend_conf.fs must be a sampling rate such as 16000 or 16k, got 'fast'"),
        ({"normalize": "layer_mvn"}, "normalize must be one of global_mvn, utterance_mvn, null, got 'layer_mvn'"),
        ({"token_type": "phn"}, "token_type must be one of bpe, char, word, got 'phn'"),
        ({"token_list": "data/tokens.txt"}, "token_list must be a list of tokens, got str"),
        ({"preencoder": "sinc"}, "preencoder must be absent, got 'sinc'"),
        ({"postencoder": "hugging_face_transformers"}, "postencoder must be absent"),
    ],
)
def test_unsupported_parts_are_named(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    write_checkpoint(tmp_path, st_config())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(st_config() | change, allow_unicode=True), encoding="utf-8")
    with pytest.raises(ModelError):
        load_model(tmp_path)
    assert expected in _refusal(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    assert "nowhere, which is not there" in _refusal(tmp_path / "nowhere")
    assert "without it" in _refusal(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(st_config(), allow_unicode=True), encoding="utf-8")
    assert "must hold a *.pth file" in _refusal(tmp_path)
    write_checkpoint(tmp_path, st_config(), name="1epoch.pth")
    write_checkpoint(tmp_path, st_config(), name="2epoch.pth")
    assert "got 1epoch.pth, 2epoch.pth" in _refusal(tmp_path)
    assert "got 'nothing-like-it'" in _refusal("bundled:nothing-like-it")


def test_missing_tokenizer_is_named(tmp_path: Path) -> None:
    (write_checkpoint(tmp_path, st_config()) / "bpe.model").unlink()
    assert "bpemodel must be a file, got '/exp/gone/bpe.model'" in _refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "edit", "expected"),
    [
        ("encoder.after_norm.bias", None, "got none for encoder.after_norm.bias of shape [16]"),
        ("decoder.output_layer.weight", torch.zeros(9, 16), "got decoder.output_layer.weight of shape [9, 16] where it asks for [8, 16]"),
        (
            "encoder.encoders.2.norm_ff.weight",
            torch.ones(16),
            "got encoder.encoders.2.norm_ff.weight of shape [16], which it does not name",
        ),
    ],
)
def test_weights_that_do_not_match_are_named(tmp_path: Path, name: str, edit: torch.Tensor | None, expected: str) -> None:
    state = random_state(st_config())
    if edit is None:
        del state[name]
    else:
        state[name] = edit
    assert expected in _refusal(write_checkpoint(tmp_path, st_config(), state))


class _Exploit:
    """A pickle that would write a file when loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", st_config())
    torch.save({"weight": _Exploit(tmp_path / "owned")}, folder / "model.pth")
    assert "a checkpoint must hold tensors only" in _refusal(folder)
    assert "it would run code" in _refusal(folder)
    with open(folder / "model.pth", "wb") as stream:
        pickle.dump({"weight": _Exploit(tmp_path / "owned")}, stream)
    assert "a checkpoint must" in _refusal(folder)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken zip"])
def test_unreadable_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    folder = write_checkpoint(tmp_path, st_config())
    (folder / "model.pth").write_bytes(content)
    assert f"got {folder / 'model.pth'}" in _refusal(folder)


def test_weights_that_are_no_state_dict_are_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, st_config())
    torch.save({"model": {"a": torch.ones(1)}, "epoch": 3}, folder / "model.pth")
    assert "must map names to tensors, got a dict under 'model'" in _refusal(folder)


@pytest.mark.parametrize(
    ("content", "expected"), [("a: [", "plain YAML"), ("!!python/object/apply:os.getcwd []", "plain YAML"), ("- 1", "got list")]
)
def test_unreadable_config_is_refused(tmp_path: Path, content: str, expected: str) -> None:
    folder = write_checkpoint(tmp_path, st_config())
    (folder / "config.yaml").write_text(content)
    assert expected in _refusal(folder)


def test_too_short_an_utterance_is_refused(tmp_path: Path) -> None:
    model: Model = load_model(write_checkpoint(tmp_path, st_config()))
    with pytest.raises(ModelError, match=r"at least 11 frames, got 3"):
        model.encode(torch.zeros(3, 20))
