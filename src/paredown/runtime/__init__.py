"""Run a bundle: numpy, onnxruntime and soundfile only."""

from paredown.runtime.translation import Translation
from paredown.runtime.translator import Translator

__all__ = ["Translation", "Translator"]
