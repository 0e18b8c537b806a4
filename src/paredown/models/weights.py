"""Weights into a network: plain tensors only, upcast to float32, and nothing missing, left over or of another shape."""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from paredown.models.errors import ModelError

_DERIVED = frozenset({"frontend.logmel.melmat"})  # follows from the config: old checkpoints may lack it
_TRAINING_ONLY = ("extra_asr_decoder.", "extra_mt_decoder.")
# How torch's safe unpickler names a class or function that it refuses; text and random bytes rarely spell such a name.
_REFUSED = re.compile(r"GLOBAL (\w+(?:\.\w+)*) (?:was not an allowed global|whose module)")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, floating point as float32; raises ModelError for anything but a mapping of tensors."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on pickle protocols: such a file is read or refused below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"a checkpoint must be a readable file, got {path}: {error.strerror or type(error).__name__}") from error
    except Exception as error:  # the unpickler lets whatever random bytes lead to escape: IndexError, UnicodeDecodeError, struct.error, …
        raise ModelError(_explain(path, error)) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"a checkpoint must map names to tensors, got {_describe(state)} in {path}")
    return {str(name): value.float() if value.is_floating_point() else value for name, value in state.items()}


def fill_network(network: torch.nn.Module, state: dict[str, Tensor]) -> None:
    """Copies the weights into the network; raises ModelError that names the first key that does not fit."""
    expected = network.state_dict()
    for name in expected:
        if name not in state and name not in _DERIVED:
            raise ModelError(f"weights must match the config, got none for {name}{_shape(expected[name])}")
        if name in state and state[name].shape != expected[name].shape:
            raise ModelError(
                f"weights must match the config, got {name}{_shape(state[name])} where it asks for {list(expected[name].shape)}"
            )
    for name in unexpected_names(expected, state):
        raise ModelError(f"weights must match the config, got {name}{_shape(state[name])}, which it does not name")
    network.load_state_dict({name: state.get(name, value) for name, value in expected.items()})


def unexpected_names(expected: Iterable[str], state: dict[str, Tensor]) -> list[str]:
    """Keys of the checkpoint that are neither in the network nor part of a training-only decoder."""
    known = set(expected)
    return [name for name in state if name not in known and not name.startswith(_TRAINING_ONLY)]


def _shape(value: Tensor) -> str:
    return f" of shape {list(value.shape)}"


def _describe(state: object) -> str:
    if not isinstance(state, dict):
        return f"a {type(state).__name__}"
    name, value = next((name, value) for name, value in state.items() if not isinstance(value, Tensor))
    return f"a {type(value).__name__} under {name!r}"


def _explain(path: Path, error: Exception) -> str:
    """What the safe unpickler met; its own message runs over many lines and advises to switch safety off."""
    refused = _REFUSED.search(str(error))
    if refused:
        return f"a checkpoint must hold tensors only, got {path}: it would run code ({refused[1]})"
    return f"weights must be tensors as torch.save writes them, got {path}, which is no checkpoint torch can read"
