"""Trains a bundled model: `python -m studies.bundled_model.train --total-steps N --cooldown-steps M [--output english] [--resume]`.

"german" is the translation model, "english" its ASR sibling, which may start from the encoder and CTC of the other (`--start-from`).
The run lies in `cache/run/` or `cache/run-english/`. Its end can be decided late: stop it, and resume with another `--total-steps`.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from paredown.models import load_model
from paredown.models.frontend import read_frontend
from paredown.models.network import Network, build_network
from paredown.recover.batch import Position
from paredown.recover.loss import read_weights
from paredown.recover.schedule import Schedule
from paredown.recover.trainer import TrainSettings, train
from studies.bundled_model.batches import CURRICULUM_BATCHES, BatchSettings, Output, Tokenizer, stream_batches

HERE = Path(__file__).parent
CACHE = HERE / "cache"
RUNS: dict[Output, Path] = {"german": CACHE / "run", "english": CACHE / "run-english"}
STATS = "feats_stats.npz"
_STATS_BATCHES = 20


def read_config(cache: Path = CACHE, output: Output = "german") -> dict[str, Any]:
    """The model's ESPnet config with its token lists, blank first; an ASR model has one, and a loss without a source text."""
    config: dict[str, Any] = yaml.safe_load((HERE / "model.yaml").read_text())
    english = list(Tokenizer(cache / "en.model").tokens)
    if output == "german":
        return {**config, "token_list": list(Tokenizer(cache / "de.model").tokens), "src_token_list": english}
    training_only = ("extra_asr_decoder", "extra_asr_decoder_conf", "extra_mt_decoder", "extra_mt_decoder_conf", "src_token_type")
    loss = {"ctc_weight": 0.3, "lsm_weight": 0.1, "length_normalized_loss": False}
    return {**{key: value for key, value in config.items() if key not in training_only}, "model_conf": loss, "token_list": english}


def measure_statistics(settings: BatchSettings, target: Path) -> None:
    """ESPnet's feature statistics (count, sum, sum of squares per mel channel) of the first batches, written atomically."""
    count, total, squares = 0, 0.0, 0.0
    for number, batch in enumerate(stream_batches(settings, Position())):
        if number == _STATS_BATCHES:
            break
        values = torch.cat([row[:frames] for row, frames in zip(batch.features, batch.frames, strict=True)]).double().numpy()
        count, total, squares = count + len(values), total + values.sum(0), squares + (values**2).sum(0)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part.npz")
    np.savez(part, count=count, sum=np.float32(total), sum_square=np.float32(squares))
    os.replace(part, target)


def initialise(network: Network, stats: Path) -> None:
    """Statistics into the normalisation; embeddings at 1/sqrt(width), so that, scaled by sqrt(width), they don't drown the positions."""
    found = np.load(stats)
    mean = found["sum"] / found["count"]
    deviation = np.sqrt(found["sum_square"] / found["count"] - mean**2)
    network.normalize.mean.copy_(torch.from_numpy(mean))
    network.normalize.std.copy_(torch.from_numpy(deviation))
    embedding = network.decoder.embed[0].weight
    torch.nn.init.normal_(embedding, std=embedding.size(1) ** -0.5)


def start_from(network: Network, model: str) -> None:
    """Encoder, normalisation and source CTC of a trained translation model, which spell the same pieces; the decoder stays at random."""
    parts = ("encoder.", "normalize.", "ctc.")
    state = {name: value for name, value in load_model(model).network.state_dict().items() if name.startswith(parts)}
    missing, unexpected = network.load_state_dict(state, strict=False)
    if unexpected or any(name.startswith(parts) for name in missing):
        raise ValueError(f"{model} must have every part of encoder and CTC that the network has, got {missing + unexpected}")


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--total-steps", type=int, required=True)
    parser.add_argument("--cooldown-steps", type=int, required=True)
    parser.add_argument("--warmup-steps", type=int, default=600)
    parser.add_argument("--peak-rate", type=float, default=2.0e-3)
    parser.add_argument("--threads", type=int, default=2, help="with more than one, set OMP_WAIT_POLICY=passive on a busy machine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", choices=("german", "english"), default="german", help="what the decoder writes")
    parser.add_argument("--start-from", metavar="MODEL", help="a translation model whose encoder and CTC an ASR model starts from")
    parser.add_argument("--run", type=Path, help="default: cache/run/, cache/run-english/ for an ASR model")
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    arguments.run = arguments.run or RUNS[arguments.output]
    return arguments


def main() -> None:
    """Trains to the end given on the command line."""
    arguments = read_arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    config = read_config(output=arguments.output)
    curriculum = 0 if arguments.start_from else CURRICULUM_BATCHES
    data = BatchSettings(CACHE, read_frontend(config), arguments.output, seed=arguments.seed, curriculum_batches=curriculum)
    if not (arguments.run / STATS).exists():
        measure_statistics(data, arguments.run / STATS)
    network = build_network(config)
    initialise(network, arguments.run / STATS)
    if arguments.start_from:
        start_from(network, arguments.start_from)
    schedule = Schedule(arguments.total_steps, arguments.cooldown_steps, arguments.warmup_steps, arguments.peak_rate)
    settings = TrainSettings(schedule, read_weights(config), sos=len(config["token_list"]) - 1, seed=arguments.seed)
    print(f"{sum(p.numel() for p in network.parameters())} parameters", flush=True)
    train(network.to(arguments.device), lambda position: stream_batches(data, position), settings, arguments.run, resume=arguments.resume)


if __name__ == "__main__":
    main()
