"""The folder of an ESPnet recipe (`egs2/CORPUS/st1`) after training: made with ESPnet's own classes, tiny, weights at random."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import yaml
from espnet2.asr.ctc import CTC
from espnet2.asr.decoder.transformer_decoder import TransformerDecoder
from espnet2.asr.encoder.e_branchformer_encoder import EBranchformerEncoder
from espnet2.asr.encoder.transformer_encoder import TransformerEncoder
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.layers.global_mvn import GlobalMVN
from espnet2.layers.utterance_mvn import UtteranceMVN

from paredown.models.frontend import LogMelFrontend, read_frontend
from tests.models.checkpoints import train_tokenizer

RATE_HZ = 8_000
LETTERS = "abcdefghijkl"
BPE = "data/en_de_token_list/bpe_unigram4000/bpe.model"
AVERAGE = "valid.acc.ave_10best.pth"


class Frontend(LogMelFrontend, AbsFrontend):
    """Of the type that ESPnet asks for, made of the same modules; its own imports torchaudio."""

    def output_size(self) -> int:
        return self.settings.n_mels


def write_st_recipe(root: Path, utterances: int = 20, tested: int = 2) -> Path:
    """An E-Branchformer with a source CTC and global normalisation; dev and test under `dump/raw`. Returns the experiment's folder."""
    for name, count, seed in (("dev.en-de", utterances, 1), ("tst-COMMON.en-de", tested, 2)):
        write_dump(root, name, count, seed, {"text.tc.de": "a b", "text.lc.rm.en": "x y", "text": "a b"})
    tokens = ["<blank>", "<unk>", *(f"▁{letter}" for letter in LETTERS), "<sos/eos>"]
    source = ["<blank>", "<unk>", "x", "y", "<space>", "<sos/eos>"]
    stats = root / "exp" / "st_stats_raw" / "train" / "feats_stats.npz"
    stats.parent.mkdir(parents=True)
    np.savez(stats, count=np.array(50.0), sum=np.linspace(-80, 40, 24), sum_square=np.linspace(200, 300, 24))
    config = {
        **_shared("st", root, "dev.en-de", {"text": "text.tc.de", "src_text": "text.lc.rm.en"}),
        "token_list": tokens,
        "src_token_list": source,
        "token_type": "bpe",
        "bpemodel": BPE,
        "src_token_type": "char",
        "normalize": "global_mvn",
        "normalize_conf": {"stats_file": "exp/st_stats_raw/train/feats_stats.npz"},
        "encoder": "e_branchformer",
        "encoder_conf": {
            "output_size": 12,
            "attention_heads": 3,
            "linear_units": 48,
            "num_blocks": 2,
            "input_layer": "conv2d2",
            "cgmlp_linear_units": 24,
            "cgmlp_conv_kernel": 7,
            "use_ffn": True,
            "macaron_ffn": True,
        },
        "decoder": "transformer",
        "decoder_conf": {"attention_heads": 2, "linear_units": 20, "num_blocks": 4},
        "model_conf": {"asr_weight": 0.3, "mt_weight": 0.0, "mtlalpha": 1.0, "lsm_weight": 0.1},
    }
    (root / BPE).parent.mkdir(parents=True)
    train_tokenizer(root / BPE)
    return _train(root / "exp" / "st_train_st_ebf_raw_en_de_bpe_tc4000", config, espnet_st(config, root))


def write_asr_recipe(root: Path, utterances: int = 30) -> Path:
    """A Transformer that spells characters, normalised by utterance, with a CTC; one folder of speech under `dump/raw`."""
    write_dump(root, "valid", utterances, 3, {"text": "ab ba"})
    config = {
        **_shared("asr", root, "valid", {"text": "text"}),
        "token_list": ["<blank>", "<unk>", "<space>", *LETTERS, "<sos/eos>"],
        "token_type": "char",
        "normalize": "utterance_mvn",
        "normalize_conf": {"norm_vars": True},
        "encoder": "transformer",
        "encoder_conf": {"output_size": 8, "attention_heads": 2, "linear_units": 16, "num_blocks": 2, "input_layer": "conv2d"},
        "decoder": "transformer",
        "decoder_conf": {"attention_heads": 2, "linear_units": 16, "num_blocks": 2},
        "model_conf": {"ctc_weight": 0.3, "lsm_weight": 0.1},
    }
    return _train(root / "exp" / "asr_train_asr_transformer_raw_en_char", config, espnet_asr(config))


def espnet_st(config: dict[str, Any], root: Path) -> Any:
    """ESPnet's own model of an ST config."""
    from espnet2.st.espnet_model import ESPnetSTModel

    torch.manual_seed(0)
    encoder = EBranchformerEncoder(config["frontend_conf"]["n_mels"], **config["encoder_conf"])
    normalize = GlobalMVN(root / config["normalize_conf"]["stats_file"])
    absent = dict.fromkeys(("hier_encoder", "md_encoder", "extra_mt_encoder", "extra_mt_decoder", "st_joint_network", "extra_asr_decoder"))
    source = config["src_token_list"]
    heads = {"ctc": CTC(len(source), encoder.output_size()), "st_ctc": None}
    return ESPnetSTModel(
        **_parts(config, encoder), **absent, **heads, normalize=normalize, src_vocab_size=len(source), src_token_list=source
    ).eval()


def espnet_asr(config: dict[str, Any]) -> Any:
    """ESPnet's own model of an ASR config."""
    from espnet2.asr.espnet_model import ESPnetASRModel

    torch.manual_seed(0)
    encoder = TransformerEncoder(config["frontend_conf"]["n_mels"], **config["encoder_conf"])
    normalize, ctc = UtteranceMVN(**config["normalize_conf"]), CTC(len(config["token_list"]), encoder.output_size())
    return ESPnetASRModel(**_parts(config, encoder), ctc=ctc, normalize=normalize, joint_network=None).eval()


def _parts(config: dict[str, Any], encoder: Any) -> dict[str, Any]:
    tokens = config["token_list"]
    decoder = TransformerDecoder(len(tokens), encoder.output_size(), **config["decoder_conf"])
    found = {"token_list": tokens, "vocab_size": len(tokens), "encoder": encoder, "decoder": decoder, "specaug": None}
    return found | {"preencoder": None, "postencoder": None, "frontend": Frontend(read_frontend(config)), **config["model_conf"]}


def _shared(task: str, root: Path, valid: str, texts: dict[str, str]) -> dict[str, Any]:
    """What every config of a recipe has: where its data is, and features at 8 kHz."""
    paths = [[f"dump/raw/{valid}/wav.scp", "speech", "sound"]]
    paths += [[f"dump/raw/{valid}/{file}", name, "text"] for name, file in texts.items()]
    return {
        "config": f"conf/train_{task}.yaml",
        "output_dir": f"exp/{task}_train",
        "valid_data_path_and_name_and_type": paths,
        "frontend": "default",
        "frontend_conf": {"fs": "8k", "n_fft": 256, "win_length": 200, "hop_length": 80, "n_mels": 24},
        "specaug": "specaug",
        "specaug_conf": {"apply_time_warp": True},
        "ctc_conf": {"dropout_rate": 0.0, "ctc_type": "builtin"},
    }


def _train(folder: Path, config: dict[str, Any], model: Any) -> Path:
    """What training leaves in an experiment's folder."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
    torch.save(model.state_dict(), folder / AVERAGE)
    torch.save({name: value * 0 for name, value in model.state_dict().items()}, folder / "37epoch.pth")
    torch.save({"model": model.state_dict(), "epoch": 40}, folder / "checkpoint.pth")
    (folder / "valid.acc.ave.pth").symlink_to(AVERAGE)
    (folder / "valid.acc.best.pth").symlink_to("37epoch.pth")
    return folder


def write_dump(root: Path, name: str, count: int, seed: int, texts: dict[str, str]) -> Path:
    """`dump/raw/NAME` as stage 3 writes it: FLAC files named from the recipe's root, a line for each utterance in every text."""
    folder, generator = root / "dump" / "raw" / name, np.random.default_rng(seed)
    audio = folder / "data" / "format.1"
    audio.mkdir(parents=True)
    ids = [f"{name}_{number:04d}" for number in range(count)]
    for number, identity in enumerate(ids):
        soundfile.write(audio / f"{identity}.flac", generator.normal(0, 0.1, RATE_HZ // 3 + 150 * number), RATE_HZ)
    scp = "".join(f"{identity} {(audio / identity).relative_to(root)}.flac\n" for identity in ids)
    (folder / "wav.scp").write_text(scp)
    for file, line in texts.items():
        (folder / file).write_text("".join(f"{identity} {line}\n" for identity in ids), encoding="utf-8")
    return folder
