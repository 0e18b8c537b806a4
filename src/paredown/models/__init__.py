"""ESPnet checkpoints as models: load them, name their layers and groups."""

from paredown.models.errors import ModelError
from paredown.models.model import Model, load_model

__all__ = ["Model", "ModelError", "load_model"]
