"""A compressed model as an ESPnet checkpoint folder, for more training: config, weights, tokenizers, statistics.

The weights are what the compressed ones stand for, in float32: codes times scales, pruned weights as zeros, and zeros where hidden units
and heads are gone, the product where a matrix was factorized (ESPnet has one width and one number of heads a stack; nothing keeps zeros
and ranks in training). Dropped blocks are gone and the others counted anew. What only training uses (a source CTC, extra decoders) is
that of the original checkpoint. File names in the config are relative to the folder.
"""

import copy
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.bundle.folder import check_target, write_folder
from paredown.bundle.manifest import read_versions
from paredown.bundle.provenance import PROVENANCE, check_provenance, write_provenance
from paredown.compress.compress import CompressedModel
from paredown.errors import BadInput
from paredown.runtime.file_check import check_inside

if TYPE_CHECKING:
    from torch import Tensor

    from paredown.models import Model

FORM = "espnet"
CONFIG, WEIGHTS, TOKENIZER, SOURCE_TOKENIZER, STATISTICS = "config.yaml", "model.pth", "bpe.model", "src_bpe.model", "feats_stats.npz"


def write_espnet(model: "Model", compressed: CompressedModel, directory: Path, *, force: bool = False) -> Path:
    """Write the checkpoint folder of a compressed model into `directory` and return it; equal models and configurations give equal bytes.

    Raises BadInput if something is at `directory` already, unless it is a folder that this function wrote, nothing was added to it and
    `force` allows to replace it; then nothing is written.
    """
    directory = Path(directory)
    check_target(directory, "a checkpoint of paredown", lambda folder: check_provenance(folder, FORM), force)
    write_folder(directory, render_espnet(model, compressed))
    return directory


def render_espnet(model: "Model", compressed: CompressedModel) -> dict[str, bytes]:
    """The files of the folder by name."""
    import torch
    import yaml  # type: ignore[import-untyped]

    config, files = shrink_config(model.config, compressed.keep), {}
    if model.bpe_model is not None:
        tokenizer = _find_file(model.path, config.get("bpemodel"), TOKENIZER)
        if tokenizer is None:
            raise BadInput(f"a tokenizer is copied from the model's own folder only, got {model.bpe_model}: put it there as {TOKENIZER}")
        files[TOKENIZER] = tokenizer.read_bytes()
        config["bpemodel"] = TOKENIZER
    source = _find_file(model.path, config.get("src_bpemodel"), SOURCE_TOKENIZER)
    if source is not None:
        files[SOURCE_TOKENIZER] = source.read_bytes()
        config["src_bpemodel"] = SOURCE_TOKENIZER
    if model.normalization == "global_mvn":
        files[STATISTICS] = _read_statistics(model)
        config["normalize_conf"] = {**(config.get("normalize_conf") or {}), "stats_file": STATISTICS}
    buffer = io.BytesIO()
    torch.save(gather_state(model, compressed), buffer)
    files[WEIGHTS] = buffer.getvalue()
    files[CONFIG] = yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode()
    return files | {PROVENANCE: write_provenance(FORM, _describe(model, compressed), files)}


def gather_state(model: "Model", compressed: CompressedModel) -> dict[str, "Tensor"]:
    """Every tensor of the checkpoint by name: those of the compressed network, and those of the original that inference leaves out."""
    from paredown.compress.network import padded_network
    from paredown.models.weights import read_weights

    known = model.network.state_dict()
    state = {name: value.detach().clone() for name, value in padded_network(model, compressed).state_dict().items()}
    rest = read_weights(model.weights)
    return state | {name: value.clone() for name, value in rest.items() if name not in known}


def shrink_config(config: Mapping[str, Any], keep: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """An ESPnet config whose stacks have the kept blocks (original indices) alone: their number, and every setting that counts blocks."""
    shrunk = copy.deepcopy(dict(config))
    for stack, indices in keep.items():
        conf = dict(shrunk.get(f"{stack}_conf") or {})
        conf["num_blocks"] = len(indices)
        rates = conf.get("stochastic_depth_rate")
        if isinstance(rates, list):
            conf["stochastic_depth_rate"] = [rates[index] for index in indices]
        if conf.get("gradient_checkpoint_layers"):  # 0 is the input layer, block i has i + 1
            found = {index + 1: place + 1 for place, index in enumerate(indices)} | {0: 0}
            conf["gradient_checkpoint_layers"] = [found[layer] for layer in conf["gradient_checkpoint_layers"] if layer in found]
        if conf.get("interctc_layer_idx"):  # behind so many blocks, the last one excepted
            behind = {sum(index < layer for index in indices) for layer in conf["interctc_layer_idx"]}
            conf["interctc_layer_idx"] = sorted(behind - {0, len(indices)})
        shrunk[f"{stack}_conf"] = conf
    return shrunk


def _find_file(folder: Path, written: object, name: str) -> Path | None:
    """The file that a config names, by its path or name in the model's own folder: a config that came with a model opens no other."""
    if not isinstance(written, str) or "\0" in written:
        return None
    candidates = (written, Path(written).name, name)
    return next((folder / candidate for candidate in candidates if check_inside(folder, candidate) is None), None)


def _read_statistics(model: "Model") -> bytes:
    """The training data's statistics: their own file where it lies in the model's folder, else one of the same mean and deviation.

    ESPnet opens the file to build the network; the checkpoint's own mean and deviation then take its place.
    """
    import numpy as np

    settings = model.config.get("normalize_conf") or {}
    found = _find_file(model.path, settings.get("stats_file"), STATISTICS)
    if found is not None:
        return found.read_bytes()
    normalize = model.network.normalize
    mean, deviation = (np.asarray(value, np.float64) for value in (normalize.mean, normalize.std))
    buffer = io.BytesIO()
    np.savez(buffer, count=np.float64(1), sum=mean, sum_square=deviation**2 + mean**2)
    return buffer.getvalue()


def _describe(model: "Model", compressed: CompressedModel) -> dict[str, Any]:
    """Where the checkpoint comes from."""
    configuration = compressed.configuration
    return {
        "versions": read_versions(),
        "model": {"digest": model.digest, "task": model.task},
        "configuration": json.loads(configuration.to_json()),
        "configuration_digest": configuration.digest,
        "keep": {stack: list(indices) for stack, indices in compressed.keep.items()},
    }
