"""A tiny random checkpoint and a few seconds of noise: all that commands need to run end to end in a moment."""

import json
from pathlib import Path

import numpy as np
import soundfile

from tests.models.checkpoints import st_config, write_checkpoint

RATE_HZ = 16_000


def write_model(folder: Path) -> Path:
    """Two encoder and four decoder blocks of width 16."""
    config = st_config()
    config["token_list"] = ["<blank>", "<unk>", *(f"▁{letter}" for letter in "abcdefghijk"), "<sos/eos>"]  # more tokens than beams
    config["decoder_conf"] = {**config["decoder_conf"], "num_blocks": 4}
    return write_checkpoint(folder, config)


def write_split(folder: Path, utterances: int = 4) -> Path:
    """A manifest of noise of different lengths, with references."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    rows = []
    for number in range(utterances):
        soundfile.write(folder / f"{number}.wav", generator.normal(0, 0.1, RATE_HZ // 2 + 2000 * number), RATE_HZ)
        rows.append({"id": f"u{number}", "audio": f"{number}.wav", "text": "x y", "translation": "a b c d"})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def write_study(folder: Path, **budgets: str) -> Path:
    """A study file over bits, layers and sparsity of the tiny model, with its model and splits beside it."""
    write_model(folder / "model")
    splits = {name: write_split(folder / name) for name in ("analysis", "search")}
    lines = [
        'name = "tiny"',
        f'model = {{ path = "{folder / "model"}" }}',
        f'data = {{ analysis = "{splits["analysis"]}", search = "{splits["search"]}" }}',
        "[space]",
        "bits = { average = [2.5, 8.0] }",
        "layers = { decoder = [2, 4] }",
        'sparsity = { groups = ["decoder.feed_forward"], max = 0.5 }',
        "[budgets]",
        *(f'{name} = "{limit}"' for name, limit in budgets.items()),
        "[search]",
        "trials = 9",
    ]
    study = folder / "tiny.toml"
    study.write_text("\n".join(lines) + "\n")
    return study
