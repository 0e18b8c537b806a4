"""Run a bundle: numpy, onnxruntime and soundfile only."""

from paredown.runtime.translator import Translation, Translator

__all__ = ["Translation", "Translator"]
