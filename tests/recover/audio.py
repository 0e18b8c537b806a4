"""Splits of noise and tones, and a tiny model that can spell them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from paredown.data.split import Split, load_split
from paredown.models import Model, load_model
from tests.models.checkpoints import asr_config, st_config, train_tokenizer, write_checkpoint

RATE_HZ = 16_000
TOKENS = ["<blank>", "<unk>", "▁", "a", "b", "c", "d", "e", "<sos/eos>"]
_LINES = ("ab", "cab d", "e", "dad bade", "ace", "bed", "a bad cab", "decade")


def write_model(folder: Path, **changes: Any) -> Model:
    """A tiny ST model whose decoder spells a to e by letter, and whose source CTC does the same."""
    source = ["<blank>", "<unk>", "▁", "a", "b", "c", "d", "e", "<sos/eos>"]
    config = st_config(token_list=list(TOKENS), src_token_list=source, src_token_type="bpe", src_bpemodel="src_bpe.model", **changes)
    write_checkpoint(folder, config)
    train_tokenizer(folder / "src_bpe.model")
    return load_model(folder)


def write_asr(folder: Path) -> Model:
    """A tiny ASR model that spells lower-case letters."""
    return load_model(
        write_checkpoint(folder, asr_config(token_list=["<blank>", "<unk>", "<space>", "a", "b", "c", "d", "e", "<sos/eos>"]))
    )


def write_split(folder: Path, count: int = 8, seed: int = 0, rate_hz: int = RATE_HZ, shortest_s: float = 0.5, **fixed: Any) -> Split:
    """Noise of different lengths with texts of their own; `fixed` replaces keys of every row (None takes them out)."""
    folder.mkdir(parents=True, exist_ok=True)
    generator, rows = np.random.default_rng(seed), []
    for number in range(count):
        seconds = shortest_s + 0.125 * ((number * 5) % count)
        soundfile.write(folder / f"{number}.wav", generator.normal(0, 0.1, int(seconds * rate_hz)), rate_hz)
        line = _LINES[number % len(_LINES)]
        row = {"id": f"u{number}", "audio": f"{number}.wav", "text": line.capitalize() + ".", "translation": line[::-1]} | fixed
        rows.append({key: value for key, value in row.items() if value is not None})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_split(folder, labelled=False)
