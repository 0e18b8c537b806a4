"""A model: an ESPnet checkpoint folder, loaded, uncompressed."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paredown.models.errors import ModelError
from paredown.models.espnet import TooShortUttError
from paredown.models.frontend import FrontendSettings
from paredown.models.groups import build_inventory, inference_parameters
from paredown.models.locate import CONFIG, locate, locate_tokenizer, read_config
from paredown.models.network import Network, Task, build_network, dropped_parts, read_tokens
from paredown.models.weights import fill_network, read_weights
from paredown.space.inventory import Inventory

TOKEN_TYPES = ("bpe", "char", "word")
SOS_EOS = "<sos/eos>"
SUPERNET = "supernet.json"


@dataclass(frozen=True, eq=False)
class Model:
    """One loaded checkpoint. `network` is in evaluation mode, float32; `digest` is the SHA-256 of config and weights file (and of
    `supernet.json`, where there is one).

    `dropped` names the parts of the config that inference leaves out; the weights of a source CTC among them stay in the network.
    `source_tokens` is empty for ASR, `bpe_model` None unless `token_type` is "bpe". `path` is the folder, `weights` the checkpoint in it.
    """

    path: Path
    weights: Path
    task: Task
    config: dict[str, Any]
    network: Network
    tokens: tuple[str, ...]
    source_tokens: tuple[str, ...]
    token_type: str
    bpe_model: Path | None
    normalization: str | None
    sos: int
    eos: int
    dropped: tuple[str, ...]
    digest: str

    @property
    def frontend(self) -> FrontendSettings:
        """What turns a waveform into features."""
        return self.network.frontend.settings

    @property
    def is_supernet(self) -> bool:
        """Whether its hidden units stand in the order of importance, trained to work at every width: its folder says so."""
        return (self.path / SUPERNET).is_file()

    @property
    def files(self) -> dict[str, Path]:
        """What loading it reads, by the names under which another folder is loaded alike."""
        found = {CONFIG: self.path / CONFIG, self.weights.name: self.weights}
        found |= {} if self.bpe_model is None else {"bpe.model": self.bpe_model}
        return found | ({SUPERNET: self.path / SUPERNET} if self.is_supernet else {})

    @cached_property
    def inference_parameters(self) -> int:
        """Parameters of encoder, decoder and the CTC over the output text."""
        return sum(parameter.numel() for _, parameter in inference_parameters(self.network))

    @torch.no_grad()
    def features(self, waveform: NDArray[np.float32] | Tensor) -> Tensor:
        """A waveform [samples], full scale 1 -> normalised log-mel features [frames, mels], as ESPnet computes them."""
        samples = torch.as_tensor(waveform, dtype=torch.float32)[None]
        features, frames = self.network.frontend(samples, torch.tensor([samples.shape[1]]))
        return self.network.normalized(features, frames)[0]

    @torch.no_grad()
    def encode(self, features: Tensor) -> Tensor:
        """Normalised features [frames, mels] -> encoder states [steps, width]; raises ModelError if the utterance is too short."""
        try:
            states, _ = self.network.encode(features[None], torch.tensor([len(features)]))
        except TooShortUttError as error:
            raise ModelError(f"an utterance must have at least {error.limit} frames, got {error.actual_size}") from error
        return states[0]

    def inventory(self) -> Inventory:
        """Every layer of the inference part, in network order."""
        return build_inventory(self.network)


def load_model(path: str | Path) -> Model:
    """An ESPnet ST or ASR checkpoint: its folder, the weights file in it, a tag of the hub, or `bundled:NAME`.

    Raises ModelError, one line that names the rule and the value; BadInput if nothing bundled has that name.
    """
    located = locate(path)
    folder, config = located.folder, read_config(located.folder)
    token_type = config.get("token_type", "bpe")
    if token_type not in TOKEN_TYPES:
        raise ModelError(f"token_type must be one of {', '.join(TOKEN_TYPES)}, got {token_type!r}")
    network = build_network(config)
    tokens = read_tokens(config, "token_list")
    source_tokens = read_tokens(config, "src_token_list") if config.get("src_token_list") else ()
    fill_network(network, read_weights(located.weights))
    end = tokens.index(SOS_EOS) if SOS_EOS in tokens else len(tokens) - 1
    return Model(
        path=folder,
        weights=located.weights,
        task=network.task,
        config=config,
        network=network.eval(),
        tokens=tokens,
        source_tokens=source_tokens,
        token_type=token_type,
        bpe_model=locate_tokenizer(folder, config, located.snapshot),
        normalization=config.get("normalize", "utterance_mvn"),
        sos=end,
        eos=end,
        dropped=dropped_parts(config),
        digest=_digest_located(folder, located.weights),
    )


def digest_model(path: str | Path) -> str:
    """The digest that `load_model(path)` has, without loading; raises as it does where files are missing."""
    located = locate(path)
    return _digest_located(located.folder, located.weights)


def _digest_located(folder: Path, weights: Path) -> str:
    return _digest(folder / CONFIG, weights, *([folder / SUPERNET] if (folder / SUPERNET).is_file() else []))


def _digest(*files: Path) -> str:
    """SHA-256 over the files, each preceded by its length, so that no byte can move from one to the next unseen."""
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()
