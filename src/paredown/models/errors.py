"""The one error of loading a model."""

from paredown.errors import BadInput


class ModelError(BadInput):
    """A checkpoint that cannot be loaded: one line that names the rule and the value."""
