"""Trains the bundled model: `python -m studies.bundled_model.train --total-steps N --cooldown-steps M [--resume]`.

The run lies in `cache/run/`. Its end can be decided late: stop it, and resume with another `--total-steps`.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from paredown.models.frontend import read_frontend
from paredown.models.network import Network, build_network
from paredown.recover.batch import Position
from paredown.recover.loss import read_weights
from paredown.recover.schedule import Schedule
from paredown.recover.trainer import TrainSettings, train
from studies.bundled_model.batches import BatchSettings, Tokenizer, stream_batches

HERE = Path(__file__).parent
CACHE, RUN = HERE / "cache", HERE / "cache" / "run"
STATS = "feats_stats.npz"
_STATS_BATCHES = 20


def read_config(cache: Path = CACHE) -> dict[str, Any]:
    """The model's ESPnet config with its two token lists, blank first."""
    config: dict[str, Any] = yaml.safe_load((HERE / "model.yaml").read_text())
    config["token_list"] = list(Tokenizer(cache / "de.model").tokens)
    config["src_token_list"] = list(Tokenizer(cache / "en.model").tokens)
    return config


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
    parser.add_argument("--run", type=Path, default=RUN)
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Trains to the end given on the command line."""
    arguments = read_arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    config = read_config()
    data = BatchSettings(CACHE, read_frontend(config), seed=arguments.seed)
    if not (arguments.run / STATS).exists():
        measure_statistics(data, arguments.run / STATS)
    network = build_network(config)
    initialise(network, arguments.run / STATS)
    schedule = Schedule(arguments.total_steps, arguments.cooldown_steps, arguments.warmup_steps, arguments.peak_rate)
    settings = TrainSettings(schedule, read_weights(config), sos=len(config["token_list"]) - 1, seed=arguments.seed)
    print(f"{sum(p.numel() for p in network.parameters())} parameters", flush=True)
    train(network.to(arguments.device), lambda position: stream_batches(data, position), settings, arguments.run, resume=arguments.resume)


if __name__ == "__main__":
    main()
