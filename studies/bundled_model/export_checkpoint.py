"""Writes the bundled model as an ESPnet checkpoint folder: `python -m studies.bundled_model.export_checkpoint [--output english]`.

The averaged weights of the run, matrices and vectors as fp16; statistics (batch norm, feature normalisation) stay fp32, they are
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
from studies.bundled_model.batches import Output
from studies.bundled_model.train import CACHE, RUNS, STATS, read_config

_BUNDLED = Path(__file__).parents[2] / "src" / "paredown" / "bundled"
TARGETS: dict[Output, Path] = {"german": _BUNDLED / "tatoeba-en-de" / "model", "english": _BUNDLED / "tatoeba-en" / "model"}
_STATISTICS = ("running_mean", "running_var", "normalize.mean", "normalize.std")


def build_config(cache: Path = CACHE, output: Output = "german") -> dict[str, Any]:
    """The config as an ESPnet run writes it, tokenizers named relative to the folder."""
    source = {"src_bpemodel": "src_bpe.model"} if output == "german" else {}
    return {**read_config(cache, output), "bpemodel": "bpe.model", **source}


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


def export(run: Path, cache: Path, target: Path, output: Output = "german") -> None:
    """Writes the folder; raises BadInput if the run holds no checkpoint."""
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    torch.save(halve(load_average(run)), part / "model.pth")
    text = yaml.safe_dump(build_config(cache, output), sort_keys=False, allow_unicode=True)
    (part / "config.yaml").write_text(text, encoding="utf-8")
    tokenizers = {"de.model": "bpe.model", "en.model": "src_bpe.model"} if output == "german" else {"en.model": "bpe.model"}
    for source, name in tokenizers.items():
        (part / name).write_bytes(without_paths((cache / source).read_bytes()))
    shutil.copyfile(run / STATS, part / STATS)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)


def main() -> None:
    """Exports the run to the package, or where the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", choices=("german", "english"), default="german")
    parser.add_argument("--run", type=Path, help="default: that of the output")
    parser.add_argument("--target", type=Path, help="default: the package's folder")
    arguments = parser.parse_args()
    target: Path = arguments.target or TARGETS[arguments.output]
    export(arguments.run or RUNS[arguments.output], CACHE, target, arguments.output)
    for file in sorted(target.iterdir()):
        print(f"{file.name}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
