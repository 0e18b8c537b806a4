"""Writes the bundled model as an ESPnet checkpoint folder: `python -m studies.bundled_model.export_checkpoint [--target DIR]`.

The averaged weights of `cache/run/`, matrices and vectors as fp16; statistics (batch norm, feature normalisation) stay fp32, they are
few and fp16 would round them. What only training saw (random state, optimizer) stays behind. Atomic: written beside, then renamed.
"""

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from sentencepiece import sentencepiece_model_pb2

from paredown.recover.checkpoint import load_average
from studies.bundled_model.train import CACHE, RUN, STATS, read_config

TARGET = Path(__file__).parents[2] / "src" / "paredown" / "bundled" / "tatoeba-en-de" / "model"
_STATISTICS = ("running_mean", "running_var", "normalize.mean", "normalize.std")


def build_config(cache: Path = CACHE) -> dict[str, Any]:
    """The config as an ESPnet run writes it, tokenizers named relative to the folder."""
    return {**read_config(cache), "bpemodel": "bpe.model", "src_bpemodel": "src_bpe.model"}


def halve(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Floating-point weights as contiguous fp16, statistics and integers as they are."""
    return {
        name: value.half().contiguous() if value.is_floating_point() and not name.endswith(_STATISTICS) else value.contiguous()
        for name, value in state.items()
    }


def without_paths(tokenizer: bytes) -> bytes:
    """The same sentencepiece model without the paths of the machine that trained it."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(tokenizer)
    proto.trainer_spec.ClearField("input")
    proto.trainer_spec.ClearField("model_prefix")
    return bytes(proto.SerializeToString())


def export(run: Path, cache: Path, target: Path) -> None:
    """Writes the folder; raises BadInput if the run holds no checkpoint."""
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    torch.save(halve(load_average(run)), part / "model.pth")
    text = yaml.safe_dump(build_config(cache), sort_keys=False, allow_unicode=True)
    (part / "config.yaml").write_text(text, encoding="utf-8")
    for source, name in (("de.model", "bpe.model"), ("en.model", "src_bpe.model")):
        (part / name).write_bytes(without_paths((cache / source).read_bytes()))
    shutil.copyfile(run / STATS, part / STATS)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)


def main() -> None:
    """Exports the run to the package, or where the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=RUN)
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    export(arguments.run, CACHE, arguments.target)
    for file in sorted(arguments.target.iterdir()):
        print(f"{file.name}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
