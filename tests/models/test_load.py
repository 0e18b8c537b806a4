"""Loading: every supported encoder, ASR and ST, half-precision weights, and each kind of bad input."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from paredown.data import open_data
from paredown.data.bundled import bundled_names
from paredown.errors import BadInput
from paredown.models import Model, ModelError, load_model
from paredown.models.network import build_network
from paredown.models.weights import read_weights
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


def test_the_ctc_of_an_asr_checkpoint_takes_part_in_inference_and_a_source_ctc_does_not(tmp_path: Path) -> None:
    model = load_model(write_checkpoint(tmp_path, asr_config()))
    assert (model.task, model.source_tokens, model.bpe_model, model.token_type) == ("asr", (), None, "char")
    assert model.network.output_ctc is model.network.ctc is not None
    assert model.dropped == ("specaug",)
    assert model.inference_parameters == sum(p.numel() for p in model.network.parameters())
    st = load_model(write_checkpoint(tmp_path / "st", st_config()))
    assert st.inference_parameters == sum(p.numel() for p in st.network.parameters()) - sum(p.numel() for p in st.network.ctc.parameters())


def test_ctc_on_the_translation_is_not_the_source_ctc(tmp_path: Path) -> None:
    config = st_config(model_conf={"asr_weight": 0.3, "mtlalpha": 1.0, "st_mtlalpha": 0.3})
    model = load_model(write_checkpoint(tmp_path, config))
    network = model.network
    assert model.dropped == ("specaug", "source_ctc")
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
        ({"decoder_conf": {"num_blocks": "two"}}, "decoder_conf of transformer must fit TransformerDecoder"),
        ({"frontend": "s3prl"}, "frontend must be 'default' (log-mel), got 's3prl'"),
        ({"frontend_conf": {"frontend_conf": {"use_wpe": True}}}, "without speech enhancement, got use_wpe: true"),
        ({"frontend_conf": {"n_fft": 512, "hop": 80}}, "got 'hop'"),
        ({"frontend_conf": {"fs": "fast"}}, "frontend_conf.fs must be a sampling rate such as 16000 or 16k, got 'fast'"),
        ({"frontend_conf": {"fs": True}}, "frontend_conf.fs must be a sampling rate such as 16000 or 16k, got True"),
        ({"frontend_conf": {"fs": float("inf")}}, "frontend_conf.fs must be a sampling rate such as 16000 or 16k, got inf"),
        ({"frontend_conf": {"window": "round"}}, "frontend_conf.window must be a window of torch (hann, hamming, "),
        ({"frontend_conf": {"window": "round"}}, "got 'round'"),
        ({"frontend_conf": {"window": [1]}}, "got [1]"),
        ({"frontend_conf": {"n_fft": "big"}}, "frontend_conf.n_fft must be a whole number of at least 1, got 'big'"),
        ({"frontend_conf": {"hop_length": 0}}, "frontend_conf.hop_length must be a whole number of at least 1, got 0"),
        ({"frontend_conf": {"n_mels": 20.5}}, "frontend_conf.n_mels must be a whole number of at least 1, got 20.5"),
        ({"frontend_conf": {"n_fft": 256, "win_length": 400}}, "frontend_conf.win_length must be at most n_fft, got 400 above 256"),
        ({"frontend_conf": {"fmin": "low"}}, "frontend_conf.fmin must be a number of at least 0, got 'low'"),
        ({"frontend_conf": {"fmin": 9000}}, "frontend_conf.fmin must lie below fmax, got 9000 and 8000"),
        ({"frontend_conf": ["n_fft", 512]}, "frontend_conf must map names to values, got ['n_fft', 512]"),
        ({"frontend_conf": {"frontend_conf": [1]}}, "frontend_conf must map names to values, got [1]"),
        ({"encoder": ["conformer"]}, "e_branchformer, got ['conformer']"),
        ({"encoder_conf": "large"}, "encoder_conf must map names to values, got 'large'"),
        ({"decoder_conf": {1: 2}}, "decoder_conf must map names to values, got {1: 2}"),
        ({"decoder_conf": {"attention_heads": 0}}, "decoder_conf of transformer must fit TransformerDecoder, got: "),
        ({"normalize_conf": [1]}, "normalize_conf must map names to values, got [1]"),
        ({"ctc_conf": {"dropout_rate": "some"}}, "ctc_conf must fit CTC, got: "),
        ({"model_conf": {"asr_weight": 10**400}}, "model_conf.asr_weight must be a number of at least 0, got 1000"),
        ({"model_conf": {"asr_weight": "half"}}, "model_conf.asr_weight must be a number of at least 0, got 'half'"),
        ({"src_token_list": "data/tokens.txt", "model_conf": {}}, "src_token_list must be a list of tokens, got str"),
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


def test_a_bundled_model_that_is_not_there_is_told_which_are() -> None:
    for reference in ("bundled:nothing-like-it", "bundled:tatoeba-en-de/model", "bundled:", "bundled:.."):
        assert _refusal(reference) == f"paredown comes with {', '.join(bundled_names())}; got {reference!r}"
    with pytest.raises(BadInput, match=r"^paredown comes with bundled:tatoeba-en, .*tatoeba-en-de, .*; got 'bundled:nothing-like-it'$"):
        open_data("bundled:nothing-like-it/test")


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
    assert _refusal(folder) == f"a checkpoint must hold tensors only, got {folder / 'model.pth'}: it would run code (getattr)"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (folder / "model.pth").write_bytes(pickle.dumps({"weight": _Exploit(tmp_path / "owned")}, protocol=protocol))
        assert f"got {folder / 'model.pth'}" in _refusal(folder)
    assert not (tmp_path / "owned").exists()


def test_a_module_that_is_blocked_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.")
    with pytest.raises(ModelError, match=r"it would run code \(posix\.system\)$"):
        read_weights(path)


def _unreadable(path: Path) -> str:
    with warnings.catch_warnings(record=True) as warned, pytest.raises(ModelError) as caught:
        read_weights(path)
    assert not warned
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint",
        b"PK\x03\x04 broken zip",
        b"<!DOCTYPE html>\n<html><body>404: GLOBAL not found</body></html>\n",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        pickle.dumps({"epoch": 3}, protocol=4),
    ],
)
def test_what_is_no_checkpoint_is_not_accused_of_running_code(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    assert _unreadable(path) == f"weights must be tensors as torch.save writes them, got {path}, which is no checkpoint torch can read"


def test_random_bytes_and_broken_checkpoints_are_no_checkpoint(tmp_path: Path) -> None:
    path, rng = tmp_path / "model.pth", np.random.default_rng(0)
    torch.save({"weight": torch.ones(300)}, path)
    whole = path.read_bytes()
    garbage = [rng.bytes(int(rng.integers(1, 80))) for _ in range(60)]
    for content in (*garbage, whole[:-50], whole[:400], b"]a.", b"h\x00.", b"cnot\nutf\xff8\n."):
        path.write_bytes(content)
        assert "which is no checkpoint torch can read" in _unreadable(path)


def test_a_pickle_protocol_that_torch_warns_of_is_refused_in_silence(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(3)}, tmp_path / "model.pth", pickle_protocol=4)
    with pytest.warns(UserWarning, match="protocol"), pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "model.pth", weights_only=True)
    assert "which is no checkpoint torch can read" in _unreadable(tmp_path / "model.pth")


def test_a_folder_in_place_of_the_weights_is_named(tmp_path: Path) -> None:
    assert _unreadable(tmp_path) == f"a checkpoint must be a readable file, got {tmp_path}: Is a directory"


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
